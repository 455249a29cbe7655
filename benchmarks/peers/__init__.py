"""The others: each does what the pipeline's core does, in the way of its kind, in an environment of its own."""
