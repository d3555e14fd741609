"""The backend types, a row each. A backend that speaks a known format is one row and its fixtures.

Paths are joined to the backend's base URL; `{model}` is one percent-encoded segment, `{api_version}` the
configured version. The formats stand in order of richness: the first one is taken for a client that speaks
none of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.slotted import field, slotted


@slotted(frozen=True)
class Paths:
    """Where one format is served: `generate`, and `stream` where streams have a path of their own."""

    generate: str
    stream: str | None = None
    count_tokens: str | None = None
    models: str = ""  # a regular expression that the model id must match, "" for every model


@slotted(frozen=True)
class Provider:
    """A backend type. `auth` is the default scheme; `key_header` is the header of scheme `api-key`;
    `key_variable` and `url_variable` name the environment variables that its own SDK reads; `key_optional`: such
    servers often run without one. `regional`: the
    region comes from AWS's own variables where the configuration names none. `with_api_version`: the row that
    takes this one's place when an API version is configured. `listing`: the path of its list of models.
    `keeps_responses`: it stores what it answers to the Responses API.
    `surface`: its name in core.models.betas, where it takes fewer betas than Anthropic itself. `tails`: what the
    vendor's pages print behind the base URL and the paths here begin with."""

    name: str
    base_url: str
    formats: Mapping[str, Paths]
    auth: str
    key_header: str = "authorization"
    key_variable: str = ""
    url_variable: str = ""
    embeddings: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    signing_service: str = ""
    regional: bool = False
    key_optional: bool = False
    with_api_version: str = ""
    listing: str = ""
    surface: str = ""
    keeps_responses: bool = False
    tails: tuple[str, ...] = ()


_CLAUDE = r"(?:^|[./:])(?:anthropic|claude)[.-]|claude"
_BEDROCK_OPENAI = r"(?:^|\.)openai\."
_AZURE_TAILS = ("/openai/v1", "/openai")

_OPENAI_FORMATS = {
    "responses": Paths("/responses"),
    "chat_completions": Paths("/chat/completions"),
}

PROVIDERS: dict[str, Provider] = {
    row.name: row
    for row in (
        Provider(
            "openai", "https://api.openai.com/v1",
            {**_OPENAI_FORMATS, "responses": Paths("/responses", count_tokens="/responses/input_tokens")}, "bearer",
            key_variable="OPENAI_API_KEY", url_variable="OPENAI_BASE_URL", embeddings="/embeddings",
            listing="/models", keeps_responses=True,
        ),
        Provider(
            "azure-openai", "",
            {
                "responses": Paths("/openai/v1/responses"),
                "chat_completions": Paths("/openai/v1/chat/completions"),
            },
            "api-key", key_header="api-key", with_api_version="azure-openai-classic",
            key_variable="AZURE_API_KEY", url_variable="AZURE_BASE_URL", embeddings="/openai/v1/embeddings",
            keeps_responses=True, tails=_AZURE_TAILS,
        ),
        Provider(
            "azure-openai-classic", "",
            {
                "responses": Paths("/openai/responses?api-version={api_version}"),
                "chat_completions": Paths(
                    "/openai/deployments/{model}/chat/completions?api-version={api_version}"
                ),
            },
            "api-key", key_header="api-key",
            key_variable="AZURE_API_KEY", url_variable="AZURE_BASE_URL",
            embeddings="/openai/deployments/{model}/embeddings?api-version={api_version}", keeps_responses=True,
            tails=_AZURE_TAILS,
        ),
        Provider(
            "anthropic", "https://api.anthropic.com",
            {"messages": Paths("/v1/messages", count_tokens="/v1/messages/count_tokens")},
            "api-key", key_header="x-api-key",
            key_variable="ANTHROPIC_API_KEY", url_variable="ANTHROPIC_BASE_URL",
            listing="/v1/models", tails=("/v1",),
            headers={"anthropic-version": "2023-06-01"},
        ),
        Provider(
            "azure-foundry", "",
            {"messages": Paths("/anthropic/v1/messages", count_tokens="/anthropic/v1/messages/count_tokens")},
            "api-key", key_header="x-api-key",
            key_variable="AZURE_FOUNDRY_API_KEY", url_variable="AZURE_FOUNDRY_BASE_URL", surface="foundry",
            tails=("/v1", "/anthropic"),
            headers={"anthropic-version": "2023-06-01"},
        ),
        Provider(
            "bedrock", "https://bedrock-runtime.{region}.amazonaws.com",
            {
                "messages": Paths("/anthropic/v1/messages", models=_CLAUDE),
                "responses": Paths("/openai/v1/responses", models=_BEDROCK_OPENAI),
                "chat_completions": Paths("/openai/v1/chat/completions", models=_BEDROCK_OPENAI),
                "converse": Paths(
                    "/model/{model}/converse", "/model/{model}/converse-stream",
                    count_tokens="/model/{model}/count-tokens",
                ),
                "invoke": Paths(
                    "/model/{model}/invoke", "/model/{model}/invoke-with-response-stream", models=_CLAUDE
                ),
            },
            "iam", key_variable="AWS_BEARER_TOKEN_BEDROCK", signing_service="bedrock", regional=True,
            surface="mantle",
            headers={"anthropic-version": "2023-06-01"},
        ),
        Provider(
            "bedrock-mantle", "https://bedrock-mantle.{region}.api.aws",
            {
                "messages": Paths("/anthropic/v1/messages", models=_CLAUDE),
                "responses": Paths("/openai/v1/responses"),
                "chat_completions": Paths("/openai/v1/chat/completions"),
            },
            "iam", key_variable="AWS_BEARER_TOKEN_BEDROCK", signing_service="bedrock-mantle", regional=True,
            surface="mantle",
            headers={"anthropic-version": "2023-06-01"},
        ),
        Provider(
            "gemini", "https://generativelanguage.googleapis.com",
            {
                "generate_content": Paths(
                    "/v1beta/models/{model}:generateContent",
                    "/v1beta/models/{model}:streamGenerateContent?alt=sse",
                    count_tokens="/v1beta/models/{model}:countTokens",
                ),
            },
            "api-key", key_header="x-goog-api-key",
            key_variable="GEMINI_API_KEY", url_variable="GEMINI_BASE_URL",
            listing="/v1beta/models",
        ),
        Provider(
            "databricks", "",
            {
                "messages": Paths("/serving-endpoints/anthropic/v1/messages", models=_CLAUDE),
                "chat_completions": Paths("/serving-endpoints/chat/completions"),
            },
            "bearer", key_variable="DATABRICKS_TOKEN", url_variable="DATABRICKS_HOST", surface="databricks",
            embeddings="/serving-endpoints/{model}/invocations",
            listing="/api/2.0/serving-endpoints", tails=("/serving-endpoints",),
            headers={"anthropic-version": "2023-06-01"},
        ),
        Provider(
            "openrouter", "https://openrouter.ai/api/v1",
            {
                "messages": Paths("/messages"),
                "responses": Paths("/responses"),
                "chat_completions": Paths("/chat/completions"),
            },
            "bearer", key_variable="OPENROUTER_API_KEY", url_variable="OPENROUTER_API_BASE",
            headers={"anthropic-version": "2023-06-01"}, embeddings="/embeddings",
            listing="/models",
        ),
        Provider(
            "litellm", "http://localhost:4000",
            {
                "messages": Paths("/v1/messages", count_tokens="/v1/messages/count_tokens"),
                "responses": Paths("/v1/responses"),
                "chat_completions": Paths("/v1/chat/completions"),
            },
            "bearer", key_optional=True, key_variable="LITELLM_API_KEY", url_variable="LITELLM_BASE_URL",
            headers={"anthropic-version": "2023-06-01"}, embeddings="/v1/embeddings",
            listing="/v1/models",
        ),
        Provider(
            "openai-compatible", "", {"chat_completions": Paths("/chat/completions")}, "bearer",
            key_optional=True, key_variable="OPENAI_COMPATIBLE_API_KEY", embeddings="/embeddings",
            listing="/models",
        ),
        Provider(
            "demo", "demo://demo",
            {
                "messages": Paths("/v1/messages", count_tokens="/v1/messages/count_tokens"),
                "responses": Paths("/v1/responses"),
                "chat_completions": Paths("/v1/chat/completions"),
            },
            "none", embeddings="/v1/embeddings",
        ),
    )
}

# Every format's path on a server of no known kind, for `format:` on a type whose row lacks it.
FORCED_PATHS: dict[str, Paths] = {
    "chat_completions": Paths("/chat/completions"),
    "responses": Paths("/responses"),
    "messages": Paths("/messages", count_tokens="/messages/count_tokens"),
    "converse": Paths("/model/{model}/converse", "/model/{model}/converse-stream"),
    "invoke": Paths("/model/{model}/invoke", "/model/{model}/invoke-with-response-stream"),
    "generate_content": Paths(
        "/models/{model}:generateContent", "/models/{model}:streamGenerateContent?alt=sse",
        count_tokens="/models/{model}:countTokens",
    ),
}
