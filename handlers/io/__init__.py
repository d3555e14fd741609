"""Adapters behind core's ports: the network, the clock, files, stores, secrets and identities."""
