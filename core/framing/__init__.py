"""Byte framings: server-sent events and AWS event streams."""
