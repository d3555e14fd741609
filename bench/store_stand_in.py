"""As much of DynamoDB as one accounted request asks for, with answers that are ready: a key that has limits and a
budget, counters that have room, and records that are taken.

moto takes 10 to 20 ms for a call, which would drown a cold start; this takes what a table in the same region does not
exceed. A thread serves each connection, and keeps it open.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from threading import Thread
from typing import Any

from core.keys import PREFIX, Key, digest_of
from core.limits import read_quota

TABLE = "skybridge"
SECRET = PREFIX + "b" * 43
KEY = Key(
    "key-1",
    digest_of(SECRET),
    SECRET[:13],
    "bench",
    1.0,
    quota=dict(read_quota({"requests_per_minute": 1000, "tokens_per_day": 10**9, "usd_per_month": 1000}, "bench")),
)
DOCUMENTS: Mapping[str, Mapping[str, Any]] = {KEY.digest: KEY.document(), "schema": {"version": 1}}


class StoreStandIn:
    """Listens on `url` from when it is made; over TLS where it is given a context."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._listener.getsockname()[1]}"
        Thread(target=self._accept, daemon=True).start()

    @property
    def environment(self) -> Mapping[str, str]:
        """What has a gateway keep its accounts here."""
        return {
            "SKYBRIDGE_STORE": f"dynamodb:{TABLE}",
            "AWS_ENDPOINT_URL_DYNAMODB": self.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_SESSION_TOKEN": "token",
        }

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            # Else an answer waits until the client has acknowledged the session tickets before it: 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Thread(target=_serve, args=(connection, self._tls), daemon=True).start()


def requests_of(connection: socket.socket) -> Iterator[tuple[dict[bytes, bytes], bytes]]:
    """Headers (in lower case) and body of each request, until the client closes the connection."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            got = connection.recv(65536)
            if not got:
                return
            data += got
        head, _, data = data.partition(b"\r\n\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(headers[b"content-length"])
        while len(data) < length:
            data += connection.recv(65536)
        yield headers, data[:length]
        data = data[length:]


def _serve(plain: socket.socket, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError), plain if tls is None else tls.wrap_socket(plain, server_side=True) as connection:
        for headers, asked in requests_of(connection):
            answer = _answer(headers[b"x-amz-target"].partition(b".")[2].decode(), json.loads(asked))
            body = json.dumps(answer).encode()
            start = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n"
            connection.sendall(f"{start}content-length: {len(body)}\r\n\r\n".encode() + body)


def _answer(operation: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """`operation` in lower case, as headers are read."""
    if operation == "getitem":
        document = DOCUMENTS.get(asked["Key"]["sk"]["S"])
        return {} if document is None else {"Item": {**asked["Key"], "body": {"S": json.dumps(document)}}}
    if operation == "updateitem":
        return {"Attributes": {"total": {"N": "1"}}}
    return {}
