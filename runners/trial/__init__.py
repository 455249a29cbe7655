"""What trials of the whole pipeline have in common: the platform, what breaks it, its topics, the account."""
