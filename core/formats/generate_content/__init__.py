"""The generate_content format; its modules load on first use. See core.formats.contract."""

from core.formats.lazy import lazy_names

__getattr__ = lazy_names(
    __name__,
    {
        "read_request": "read_request",
        "write_request": "write_request",
        "read_response": "response",
        "write_response": "response",
        "read_error": "wire",
        "write_error": "wire",
        "StreamDecoder": "stream_decoder",
        "StreamEncoder": "stream_encoder",
        "ArrayStreamEncoder": "stream_encoder",
    },
)
