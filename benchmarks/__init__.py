"""How fast it is: what can be measured again, on any machine. No part of the installed package."""
