"""The original's way: PyFlink's DataStream interface as its documentation shows it, with its default settings."""
