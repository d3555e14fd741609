"""OpenAI's embeddings endpoint, answered by backends that have another one, or a smaller limit for a batch.

One attempt is one candidate: its parts all go to the same model, since vectors of different models do not compare.

https://platform.openai.com/docs/api-reference/embeddings/create
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.counting.estimate import text_tokens
from core.errors import ClientFault, Unsupported, UpstreamFault, upstream_fault
from core.formats import load_wire
from core.formats.contract import Observation
from core.generation import Generation
from core.http import trace_headers
from core.json_edit import JsonObject, dump
from core.native import prepare_native
from core.passthrough import endpoint_url
from core.ports import BackendRequest
from core.relay import Pipe, WholeAnswer
from core.routing.registry import Candidate, Route
from core.slotted import field, slotted
from core.usage import Usage

# OpenAI's own limit of inputs in a request.
OPENAI_BATCH = 2048


@slotted(frozen=True)
class Asked:
    """What the client wants embedded."""

    texts: list[str]
    dimensions: int | None
    model: str


@slotted
class Vectors:
    """A part's answer: a vector for each of its texts, and the tokens where the backend counted them."""

    vectors: list[list[float]]
    tokens: int | None = None


@slotted(frozen=True)
class Dialect:
    """An embeddings endpoint of another shape. `models` is a regular expression for the model ids that have it."""

    provider: str
    models: str
    path: str
    batch: int
    write: Callable[[Asked], JsonObject]
    read: Callable[[JsonObject], Vectors]
    error_format: str


def _titan(asked: Asked) -> JsonObject:
    body: JsonObject = {"inputText": asked.texts[0]}
    if asked.dimensions is not None:
        body["dimensions"] = asked.dimensions
    return body


def _cohere(asked: Asked) -> JsonObject:
    body: JsonObject = {"texts": asked.texts, "input_type": "search_document", "embedding_types": ["float"]}
    if asked.dimensions is not None:
        body["output_dimension"] = asked.dimensions
    return body


def _read_cohere(answer: JsonObject) -> Vectors:
    found = answer["embeddings"]
    return Vectors(found["float"] if isinstance(found, dict) else found)


def _gemini(asked: Asked) -> JsonObject:
    dimensions = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
    name = f"models/{asked.model}"
    return {
        "requests": [{"model": name, "content": {"parts": [{"text": text}]}, **dimensions} for text in asked.texts]
    }


DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        "bedrock", r"(?:^|[./])amazon\.titan-embed", "/model/{model}/invoke", 1, _titan,
        lambda answer: Vectors([answer["embedding"]], answer.get("inputTextTokenCount")), "converse",
    ),
    Dialect("bedrock", r"(?:^|[./])cohere\.embed", "/model/{model}/invoke", 96, _cohere, _read_cohere, "converse"),
    Dialect(
        "gemini", "", "/v1beta/models/{model}:batchEmbedContents", 100, _gemini,
        lambda answer: Vectors([item["values"] for item in answer["embeddings"]]), "generate_content",
    ),
)  # fmt: skip


def route_for(route: Route) -> Route:
    """Embeddings go by the route as it is."""
    return route


def prepare(generation: Generation, candidate: Candidate, passes_through: bool) -> Any:
    """A core.attempts.Prepared for `candidate`. Raises Unsupported where it has no embeddings, ClientFault for an
    input that is none."""
    provider = candidate.backend.provider
    if provider.embeddings is not None:
        given = generation.document.values.get("input")
        if isinstance(given, list) and len(given) > OPENAI_BATCH and not isinstance(given[0], int):
            return _split_native(generation, candidate, given)
        return prepare_native(generation, Candidate(candidate.backend, candidate.api_model))
    for dialect in DIALECTS:
        if dialect.provider == provider.name and re.search(dialect.models, candidate.api_model):
            return _translated(generation, candidate, dialect)
    raise Unsupported("embeddings", f"Backend {candidate.backend.name} has no embeddings for {candidate.api_model}.")


def _split_native(generation: Generation, candidate: Candidate, given: list[Any]) -> EmbeddingRequest:
    plain = prepare_native(generation, Candidate(candidate.backend, candidate.api_model)).request
    body = {**generation.document.values, "model": candidate.api_model}
    parts = [
        BackendRequest("POST", plain.url, list(plain.headers), dump({**body, "input": part}), plain.connect_timeout)
        for part in _batches(given, OPENAI_BATCH)
    ]
    return EmbeddingRequest(_batch_of(parts), generation, _read_openai, "chat_completions")


def _read_openai(answer: JsonObject) -> Vectors:
    return Vectors([item["embedding"] for item in answer["data"]], answer.get("usage", {}).get("prompt_tokens"))


def _translated(generation: Generation, candidate: Candidate, dialect: Dialect) -> EmbeddingRequest:
    texts = _texts(generation.document.values.get("input"))
    dimensions = generation.document.values.get("dimensions")
    if dimensions is not None and (isinstance(dimensions, bool) or not isinstance(dimensions, int) or dimensions < 1):
        raise ClientFault("bad_request", "The member 'dimensions' must be a positive integer.", param="dimensions")
    backend = candidate.backend
    url = endpoint_url(backend, dialect.path, candidate.api_model)
    headers = {"content-type": "application/json", "accept": "application/json", **backend.headers}
    parts = []
    for batch in _batches(texts, dialect.batch):
        body = dialect.write(Asked(batch, dimensions, candidate.api_model))
        lines = [*headers.items(), *trace_headers(generation.request.headers)]
        parts.append(BackendRequest("POST", url, lines, dump(body), backend.connect_timeout))
    prepared = EmbeddingRequest(_batch_of(parts), generation, dialect.read, dialect.error_format)
    prepared.dropped = ["user"] if "user" in generation.document.values else []
    prepared.translation = f"chat_completions>{dialect.error_format}"
    return prepared


def _batches[T](items: Sequence[T], size: int) -> list[list[T]]:
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def _batch_of(parts: list[BackendRequest]) -> BackendRequest:
    """One request for all: its transport sends the parts and answers with a JSON list of their answers."""
    return BackendRequest("POST", f"batch+{parts[0].url}", [], b"", parts[0].connect_timeout, parts=parts)


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise ClientFault("bad_request", "The member 'input' must be a string or a list of strings.", param="input")
    if all(isinstance(text, int | list) for text in texts):
        raise Unsupported("input", "This backend takes texts, not tokens.")
    if not all(isinstance(text, str) and text for text in texts):
        raise ClientFault("bad_request", "The member 'input' must hold non-empty strings.", param="input")
    return texts


@slotted
class EmbeddingRequest:
    """A batch of requests (core.attempts.Prepared), and their answers as one in OpenAI's shape."""

    request: BackendRequest
    generation: Generation
    read: Callable[[JsonObject], Vectors]
    backend_format: str
    edits: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    translation: str = "none"

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        return load_wire(self.backend_format).read_error(status, headers, body)

    def pipe(self) -> Pipe:
        raise NotImplementedError("embeddings are never streamed")  # pragma: no cover

    def whole(self, body: bytes) -> WholeAnswer:
        try:
            answers = [self.read(answer) for answer in json.loads(body)]
            vectors = [vector for answer in answers for vector in answer.vectors]
            data = [self._row(index, vector) for index, vector in enumerate(vectors)]
        except (ValueError, KeyError, TypeError, AttributeError, struct.error):
            raise upstream_fault("upstream", "The backend's embeddings cannot be read.", 502) from None
        tokens = self._tokens(answers)
        page = {
            "object": "list", "data": data, "model": self.generation.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }  # fmt: skip
        return WholeAnswer(dump(page), Observation(usage=Usage(input_tokens=tokens)))

    def _row(self, index: int, vector: Any) -> JsonObject:
        if self.generation.document.values.get("encoding_format") == "base64" and not isinstance(vector, str):
            vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        return {"object": "embedding", "index": index, "embedding": vector}

    def _tokens(self, answers: list[Vectors]) -> int:
        """What the backend counted; where it did not say, an estimate."""
        counted = [answer.tokens for answer in answers]
        if all(isinstance(count, int) for count in counted):
            return sum(count for count in counted if count is not None)
        given = self.generation.document.values.get("input")
        return int(sum(map(text_tokens, [given] if isinstance(given, str) else _texts(given)))) + 1
