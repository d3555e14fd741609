"""A backend that writes what a test wants to see in the console, in the format of Chat Completions, on a real socket.

What the last user message begins with says what comes: see `ANSWERS`. Anything else is sent back as it is, so that
whatever a test types comes out of a model.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MARKDOWN = """## Status codes

Three that **everybody** meets, with `code`, *emphasis* and a [link](https://example.com/docs).

| Code | Meaning | Retry |
|:-----|:-------:|------:|
| 200 | OK | no |
| 429 | Too many requests | yes |
| 503 | `Unavailable` | yes |

1. First this
2. then that:
   - a nested point
   - and another
3. and done

```python
for chunk in stream:  # as it comes
    print(chunk.choices[0].delta.content or "", end="")
```

> A quotation, and a ~~mistake~~ correction.
"""


USAGE = {"prompt_tokens": 11, "completion_tokens": 42, "total_tokens": 53}


def _says(text: str) -> Iterator[dict[str, Any]]:
    for at in range(0, len(text), 24):
        yield {"content": text[at : at + 24]}


def _reasons(text: str) -> Iterator[dict[str, Any]]:
    yield {"reasoning_content": "The user wants to see reasoning, "}
    yield {"reasoning_content": "so I think first."}
    yield from _says("I have thought about it.")


def _calls(text: str) -> Iterator[dict[str, Any]]:
    function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    yield {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}


def _endless(text: str) -> Iterator[dict[str, Any]]:
    while True:
        yield {"content": "and on "}


ANSWERS = {
    "markdown": lambda text: _says(MARKDOWN),
    "reason": _reasons,
    "tool": _calls,
    "endless": _endless,
}


class Writer:
    """Use as a context manager; `url` is its base URL. `left` is set when a client closes a stream early."""

    def __enter__(self) -> Writer:
        writer = self
        self.left = threading.Event()
        self.ending = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                writer._answer(self, body)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Tests are quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        return self

    def __exit__(self, *exception: object) -> None:
        self.ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        text = _last_text(body["messages"])
        if text.startswith("refuse"):
            payload = json.dumps({"error": {"message": text, "type": "invalid_request_error", "code": "bad"}}).encode()
            handler.send_response(400)
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", str(len(payload)))
            handler.end_headers()
            handler.wfile.write(payload)
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        answer = ANSWERS.get(text.split(" ")[0], _says)
        try:
            for delta in answer(text):
                _send(handler, _chunk(body["model"], delta, None))
                if answer is _endless and self.ending.wait(0.02):
                    return
            finish = "tool_calls" if answer is _calls else "stop"
            _send(handler, _chunk(body["model"], {}, finish, USAGE))
            handler.wfile.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.left.set()


def _last_text(messages: list[dict[str, Any]]) -> str:
    content = next(message["content"] for message in reversed(messages) if message["role"] == "user")
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _chunk(model: str, delta: dict[str, Any], finish: str | None, usage: dict[str, int] | None = None) -> bytes:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
    return b"data: " + json.dumps({**chunk, **({"usage": usage} if usage else {})}).encode() + b"\n\n"


def _send(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
    handler.wfile.flush()
