"""Believable sites, walks, readings and faults; no engine."""
