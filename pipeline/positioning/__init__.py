"""The science, as plain Python and numpy: no Beam, no clock, no input or output."""
