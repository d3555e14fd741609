"""Signatures and credentials: pure; secrets and tokens come through ports."""
