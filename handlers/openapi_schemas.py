"""JSON Schemas of the wire formats, as far as a reader of the OpenAPI document needs them.

Every format has more members than stand here, and takes them: the vendors' references, which the descriptions name,
are the whole truth.
"""

from __future__ import annotations

from typing import Any, Final

type Schema = dict[str, Any]


def text(description: str = "") -> Schema:
    return {"type": "string", **({"description": description} if description else {})}


def list_of(items: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": items, **({"minItems": least} if least else {})}


def record(required: tuple[str, ...], description: str = "", **members: Schema) -> Schema:
    """An object with some of its members; it may have others."""
    schema: Schema = {"type": "object", "properties": members, "additionalProperties": True}
    if required:
        schema["required"] = list(required)
    if description:
        schema["description"] = description
    return schema


# One event of a stream.
EVENT: Final[Schema] = record((), event={"type": "string"}, data={"type": "string"})

_ANY: Final[Schema] = {}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer"}
_POSITIVE: Final[Schema] = {"type": "integer", "minimum": 1}
_TEXT_OR_PARTS: Final[Schema] = {"anyOf": [{"type": "string"}, list_of({"type": "object"}), {"type": "null"}]}
_TEMPERATURE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 2}
_STREAM: Final[Schema] = {"type": "boolean", "description": "Answers with server-sent events."}
_TOOLS: Final[Schema] = list_of({"type": "object"})
_MODEL: Final[Schema] = {"type": "string", "minLength": 1, "description": "A name of `GET /v1/models`."}

_CHAT_MESSAGE: Final = record(
    ("role",), role={"enum": ["system", "developer", "user", "assistant", "tool"]}, content=_TEXT_OR_PARTS
)
_TURN: Final = record(("role", "content"), role={"enum": ["user", "assistant"]}, content=_TEXT_OR_PARTS)
_CONVERSE_TURN: Final = record(
    ("role", "content"), role={"enum": ["user", "assistant"]}, content=list_of({"type": "object"})
)
_CONTENT: Final = record((), role={"enum": ["user", "model"]}, parts=list_of({"type": "object"}))

SCHEMAS: Final[dict[str, Schema]] = {
    "ChatCompletionsRequest": record(
        ("model", "messages"), "https://platform.openai.com/docs/api-reference/chat/create", model=_MODEL,
        messages=list_of(_CHAT_MESSAGE, 1), stream=_STREAM, temperature=_TEMPERATURE, max_completion_tokens=_POSITIVE,
        tools=_TOOLS,
    ),
    "ChatCompletionsDeploymentRequest": record(
        ("messages",), "The same, its model in the path.", messages=list_of(_CHAT_MESSAGE, 1), stream=_STREAM,
        temperature=_TEMPERATURE, tools=_TOOLS,
    ),
    "ChatCompletionsResponse": record(
        ("id", "object", "choices"), id=text(), object=text(), created=_COUNT, model=text(),
        choices=list_of(record((), index=_COUNT, message=record(()), finish_reason=_ANY)), usage=_ANY,
    ),
    "ResponsesRequest": record(
        ("model",), "https://platform.openai.com/docs/api-reference/responses/create", model=_MODEL,
        input={"anyOf": [{"type": "string"}, list_of({"type": "object"})]}, instructions=_TEXT_OR_PARTS,
        stream=_STREAM, max_output_tokens=_POSITIVE, tools=_TOOLS, previous_response_id=_TEXT_OR_PARTS,
    ),
    "ResponsesResponse": record(
        ("id", "object", "output"), id=text(), object=text(), status=text(), model=text(),
        output=list_of({"type": "object"}), usage=_ANY,
    ),
    "MessagesRequest": record(
        ("model", "messages", "max_tokens"), "https://docs.anthropic.com/en/api/messages", model=_MODEL,
        messages=list_of(_TURN, 1), max_tokens=_POSITIVE, system={"anyOf": [text(), list_of({"type": "object"})]},
        stream=_STREAM, temperature={"type": "number", "minimum": 0, "maximum": 1}, tools=_TOOLS,
    ),
    "MessagesCountRequest": record(("model", "messages"), model=_MODEL, messages=list_of(_TURN, 1), tools=_TOOLS),
    "MessagesModelRequest": record(
        ("messages",), "The same, its model in the path.", messages=list_of(_TURN, 1), max_tokens=_POSITIVE,
        stream=_STREAM,
    ),
    "MessagesResponse": record(
        ("id", "type", "role", "content"), id=text(), type=text(), role=text(), model=text(),
        content=list_of({"type": "object"}), stop_reason=_ANY, usage=record(()),
    ),
    "ConverseRequest": record(
        (), "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
        messages=list_of(_CONVERSE_TURN), system=list_of({"type": "object"}), inferenceConfig=record(()),
        toolConfig=record(()),
    ),
    "ConverseResponse": record(("output",), output=record(()), stopReason=text(), usage=record(()), metrics=_ANY),
    "InvokeRequest": record(
        (), "The body that the model's vendor defines; for Claude a Messages body with `anthropic_version`.",
        messages=list_of({"type": "object"}), max_tokens=_COUNT,
    ),
    "InvokeResponse": record((), "The body that the model's vendor defines."),
    "CountTokensRequest": record((), "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html",
                                 input=record(())),
    "GenerateContentRequest": record(
        ("contents",), "https://ai.google.dev/api/generate-content", contents=list_of(_CONTENT, 1),
        systemInstruction=_ANY, generationConfig=record(()), tools=_TOOLS,
    ),
    "GenerateContentResponse": record((), candidates=list_of({"type": "object"}), usageMetadata=record(())),
    "EmbeddingsRequest": record(
        ("model", "input"), "https://platform.openai.com/docs/api-reference/embeddings/create", model=_MODEL,
        input={"anyOf": [{"type": "string", "minLength": 1}, list_of({"type": "string"}, 1)]}, dimensions=_POSITIVE,
    ),
    "EmbeddingsDeploymentRequest": record(
        ("input",), "The same, its model in the path.",
        input={"anyOf": [{"type": "string", "minLength": 1}, list_of({"type": "string"}, 1)]},
    ),
    "EmbeddingsResponse": record(
        ("data",), object=text(), model=text(), data=list_of(record((), index=_COUNT, embedding=_ANY)), usage=_ANY
    ),
    "TokenCount": record((), "How many tokens the input is; the member's name is the format's own."),
    "Models": record((), "The configured models, in the shape of the client's own API."),
    "Model": record((), "One model, in the shape of the client's own API."),
    "KeptResponse": record(("id",), id=text(), object=text(), output=_ANY),
    "KeptItems": record(("data",), object=text(), data=list_of({"type": "object"})),
    "DeletedResponse": record(("id",), id=text(), object=text(), deleted=_FLAG),
    "Page": record((), "A small page about the gateway."),
    "UsageSums": record(
        ("data", "by", "days"), object=text(), days=_ANY, by=list_of(text()), data=list_of({"type": "object"})
    ),
    "OpenAIError": record(
        ("error",), error=record(("message",), message=text(), type=_ANY, param=_ANY, code=_ANY)
    ),
    "AnthropicError": record(
        ("type", "error"), type={"const": "error"}, error=record(("type", "message"), type=text(), message=text()),
        request_id=_ANY,
    ),
    "BedrockError": record((), message=text(), __type=text()),
    "GeminiError": record(
        ("error",), error=record(("code", "message"), code=_COUNT, message=text(), status=text())
    ),
}  # fmt: skip
