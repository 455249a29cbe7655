"""The science, as plain Python: no Beam, no clock, no input or output."""
