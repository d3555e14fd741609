"""Metrics and traces as values: what is counted, how a span looks, and the texts that other systems read."""
