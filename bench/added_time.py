"""What keys, limits, a budget and usage add to a request: the gateway with a store in SQLite, and without one.

    python -m bench.added_time [--requests 800]

Both run at once, each request goes to one and then to the other, on one connection each: what disturbs the machine
meets both. A pause between requests leaves time for what follows an answer, and lets the caches grow cold; it is drawn
by lot around its length, so that it does not keep step with the gateway's timers. Prints milliseconds from the last
byte of a request to the first of its answer, and what the accounts add to the median.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import socket
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure import Bench, Target
from bench.peers import ACCOUNTS, GATEWAY
from bench.scenarios import PASSED

PAUSES = (0.0, 0.002, 0.008)
WARM_UP = 100
SCENARIO = next(each for each in PASSED if each.connections == 1 and each.name.endswith("requests-1"))


class Client:
    """One connection to a gateway that is kept alive, and the milliseconds that its answers took."""

    def __init__(self, target: Target) -> None:
        body = target.body(SCENARIO)
        lines = [
            f"POST {target.path(SCENARIO)} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json",
            *target.headers, f"content-length: {len(body)}",
        ]  # fmt: skip
        self._request = "\r\n".join([*lines, "", ""]).encode() + body
        self._socket = socket.create_connection(("127.0.0.1", target.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> float:
        """Milliseconds until the answer, which comes in one piece. Raises RuntimeError for any but a 200."""
        began = time.perf_counter()
        self._socket.sendall(self._request)
        answer = self._socket.recv(65536)
        took = time.perf_counter() - began
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"the gateway answered {answer[:300]!r}")
        return took * 1000


def measure(clients: Sequence[Client], requests: int, pause: float) -> list[list[float]]:
    """The milliseconds of each client's answers, in turn."""
    for _ in range(WARM_UP):
        for client in clients:
            client.ask()
    taken: list[list[float]] = [[] for _ in clients]
    lots = random.Random(1)  # the same pauses in each run
    for _ in range(requests):
        for client, milliseconds in zip(clients, taken, strict=True):
            milliseconds.append(client.ask())
            time.sleep(lots.uniform(0.0, 2 * pause))
    return taken


def _row(*cells: object) -> str:
    return "".join(f"{cell:>14}" for cell in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description="What accounts add to a request")
    parser.add_argument("--requests", type=int, default=800)
    options = parser.parse_args()
    print(_row("pause ms", "without p50", "with p50", "added p50", "added p90"))
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as opened:
        bench = Bench(Path(folder), 0.0)
        opened.enter_context(bench.with_backend())
        targets = [opened.enter_context(bench.started(candidate))[0] for candidate in (GATEWAY, ACCOUNTS)]
        clients = [Client(target) for target in targets]
        for pause in PAUSES:
            plain, accounted = measure(clients, options.requests, pause)
            middle = [statistics.median(each) for each in (plain, accounted)]
            high = [statistics.quantiles(each, n=10)[-1] for each in (plain, accounted)]
            figures = (*middle, middle[1] - middle[0], high[1] - high[0])
            print(_row(f"{pause * 1000:g}", *(f"{figure:.3f}" for figure in figures)))


if __name__ == "__main__":
    main()
