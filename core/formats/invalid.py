"""What is wrong in a client's JSON, and where: raised at the member, told as a 400 that names its whole path.

The path is put together only when there is a fault: each level on its way out adds its own part.
"""

from __future__ import annotations

from core.errors import ClientFault


class Invalid(Exception):
    """A member is wrong. `path` is what is known of where it stands, outermost first."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.path = [name] if name else []
        self.message = message

    def inside(self, name: str) -> Invalid:
        """The same fault, one level further out."""
        self.path.insert(0, name)
        return self

    def fault(self) -> ClientFault:
        """What the client is told."""
        path = ".".join(self.path)
        message = f"{path}: {self.message}" if path else self.message
        return ClientFault("bad_request", message, param=path or None)
