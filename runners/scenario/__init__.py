"""``make scenario``: a day in the life of a site in a few minutes, and whether every event came exactly once."""
