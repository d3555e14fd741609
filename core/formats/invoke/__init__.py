"""Bedrock's InvokeModel with Anthropic bodies: the messages format in AWS's framing. See core.formats.contract.

Its conversations and answers bear the format name `messages`.
"""

from core.formats.lazy import lazy_names

__getattr__ = lazy_names(
    __name__,
    {
        "read_request": "request",
        "write_request": "request",
        "read_response": "response",
        "write_response": "response",
        "read_error": "wire",
        "write_error": "wire",
        "StreamDecoder": "stream_decoder",
        "StreamEncoder": "stream_encoder",
    },
)
