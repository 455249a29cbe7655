"""Quix Streams: state in RocksDB, and a topic of its own to bring a tag's readings together."""
