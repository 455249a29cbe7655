"""Watch a running pipeline from outside, through its topics: a live table, then a summary."""
