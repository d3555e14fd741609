"""The only place that knows a platform: doors in, adapters out."""
