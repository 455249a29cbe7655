"""The others: each does what the pipeline's core does, in the way of its own kind; each in an environment of its own."""
