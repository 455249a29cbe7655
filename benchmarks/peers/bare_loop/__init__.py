"""The bare loop: what Python can do at best, with nothing kept when it ends."""
