"""Documents larger than a store takes at once, in pieces: DynamoDB's items end at 400 KB, an Azure table's entities at
1 MiB of UTF-16.

A document's JSON is compressed; what does not fit into one piece goes into documents of its own beside it, named after
its content, and the document itself says which they are. They are written before it, so whoever finds it finds them.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
"""

from __future__ import annotations

import asyncio
import json
import zlib
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import Any

from core.ports import Store, StoredDocument, StoreFault

# Characters of base64; an Azure entity takes 500,000 characters in all.
PIECE = 300_000
# A document of more pieces is refused: 12 MB of what does not compress.
MOST_PIECES = 40
_LEVEL = 1


class TooLarge(Exception):
    """The document would take more than MOST_PIECES."""


async def write_large(
    store: Store, folder: str, name: str, document: StoredDocument, expires: float | None = None
) -> None:
    """Puts `document` in the place of the one of that name. Raises StoreFault, or TooLarge. Pieces of a document that
    was there before stay until they expire, or until `delete_large`."""
    packed = b64encode(zlib.compress(json.dumps(document, separators=(",", ":")).encode(), _LEVEL)).decode("ascii")
    pieces = [packed[start : start + PIECE] for start in range(0, len(packed), PIECE)]
    if len(pieces) > MOST_PIECES:
        raise TooLarge(f"{len(packed)} bytes")
    if len(pieces) == 1:
        await store.write(folder, {name: {"packed": packed}}, expires)
        return
    digest = blake2b(packed.encode("ascii"), digest_size=8).hexdigest()
    names = _piece_names(name, digest, len(pieces))
    await store.write(folder, {each: {"piece": piece} for each, piece in zip(names, pieces, strict=True)}, expires)
    await store.write(folder, {name: {"digest": digest, "pieces": len(pieces)}}, expires)


async def read_large(store: Store, folder: str, name: str) -> StoredDocument | None:
    """The document of that name, None where there is none. Raises StoreFault, also where a piece is gone."""
    head = await store.read(folder, name)
    if head is None:
        return None
    packed = head.get("packed")
    if packed is None:
        names = _piece_names(name, head["digest"], head["pieces"])
        found = await asyncio.gather(*(store.read(folder, each) for each in names))
        if any(piece is None for piece in found):
            raise StoreFault(f"a piece of {folder}/{name} is gone")
        packed = "".join(piece["piece"] for piece in found if piece is not None)
    document: dict[str, Any] = json.loads(zlib.decompress(b64decode(packed)))
    return document


async def delete_large(store: Store, folder: str, name: str) -> bool:
    """Whether there was one. Raises StoreFault."""
    head = await store.read(folder, name)
    if head is None:
        return False
    await store.delete(folder, name)
    if "packed" not in head:
        names = _piece_names(name, head["digest"], head["pieces"])
        await asyncio.gather(*(store.delete(folder, each) for each in names))
    return True


def _piece_names(name: str, digest: str, count: int) -> list[str]:
    return [f"{name}:{digest}:{number}" for number in range(count)]
