"""Conversations with memory: what is asked, answered and kept. Pure values; handlers.sessions keeps them."""
