"""Keys and tokens that backends take in a header, as `core.ports.Authenticator`s."""

from __future__ import annotations

from core.errors import NotConfigured
from core.http import HeaderList
from core.ports import BackendRequest
from core.slotted import slotted


@slotted(frozen=True)
class HeaderKey:
    """A key in a header of its own: `x-api-key`, `api-key`, `x-goog-api-key`.

    `variable` names the environment variable (or option) that holds the key, for the operator.
    """

    name: str
    value: str | None
    variable: str = "api_key"

    async def authorize(self, request: BackendRequest) -> None:
        """Sets the header. Raises NotConfigured when there is no key."""
        replace_headers(request.headers, [(self.name, present(self.value, self.variable))])


@slotted(frozen=True)
class Bearer:
    """A key or token as `authorization: Bearer`."""

    value: str | None
    variable: str = "api_key"

    async def authorize(self, request: BackendRequest) -> None:
        """Sets the header. Raises NotConfigured when there is no token."""
        replace_headers(request.headers, [("authorization", f"Bearer {present(self.value, self.variable)}")])


def present(value: str | None, variable: str) -> str:
    """`value` without white space. Raises NotConfigured, naming `variable`, when there is none."""
    if not value or not value.strip():
        raise NotConfigured(f"{variable} is not set")
    return value.strip()


def replace_headers(headers: HeaderList, added: HeaderList) -> None:
    """Puts `added` in the place of the headers of the same names."""
    names = dict(added).keys()
    if not names.isdisjoint(dict(headers)):
        headers[:] = [header for header in headers if header[0] not in names]
    headers += added
