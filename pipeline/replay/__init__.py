"""The graph over a log: reading it, running it bounded, and telling how near the truth the positions are."""
