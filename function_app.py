"""Where Azure Functions looks for the app. Exactly one may be in reach here."""

from handlers.azure import app

__all__ = ["app"]
