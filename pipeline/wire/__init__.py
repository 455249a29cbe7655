"""Bytes to records and records to bytes: protobuf in, JSON out."""
