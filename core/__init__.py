"""The gateway's decisions: standard library only; no network, no framework, no cloud SDK, no event loop."""
