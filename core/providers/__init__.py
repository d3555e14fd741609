"""The table of backend types."""
