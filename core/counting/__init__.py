"""Counting the tokens of a request without asking for an answer."""
