"""Bytewax: a dataflow with a Rust engine; its keyed state is held in memory, for no recovery store is given."""
