"""What each backend format accepts, as data: one row per format, and overrides per kind of backend.

What depends on the model is in `core.models`; what depends on the wire format is here.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from core.conversation import FormatName
from core.formats.contract import Target
from core.slotted import replace, slotted


@slotted(frozen=True)
class FormatRules:
    """One format's constraints on a request.

    `tool_name` and `call_id` match what is accepted; `tool_name_characters` is the class of allowed ones.
    `merged_turns`: one message per turn, roles alternate, the user begins. `mid_system`: a system message
    between turns stands `in_place`, or there `if_model` accepts it, or is `never` accepted.
    `native_custom_tools`, `native_namespaces`: the format has them. `web_search`: the vendor's own search can
    be asked for, `search_beside_functions`: in the same request as functions. `call_signatures`: a tool call has a slot
    for its thought signature.
    `named_server_tools`: the vendor's own tools have names, which no other tool may have. `repeated_tools`: two tools
    may have one name.
    `tools_with_history`: tools must be declared when the history has tool blocks.
    `document_names`: documents must have unique plain names. `google_files`: it reads GOOGLE_READS,
    although it takes no URLs in general. `bedrock_schemas`: structured output is Bedrock's own. `call_sentinels`:
    calls that another model made need a sentinel for a signature.
    `reasoning`: the words in which reasoning is asked for. `max_stop` 0: no stop sequences at all.
    `falling_cache_times`: a cache mark may not last longer than one before it.
    `assistant_media`: the assistant's turns may hold images and sounds.
    `any_output_root`: structured output may be a list, a word or a number at its top, not an object only.
    """

    format: FormatName
    reasoning: Literal["thinking", "effort", "gemini"]
    tool_name: re.Pattern[str]
    tool_name_characters: str
    tool_name_length: int
    call_id: re.Pattern[str]
    namespace_separator: str = "__"
    native_namespaces: bool = False
    native_custom_tools: bool = False
    allowed_tools: bool = False
    tool_choice_none: bool = True
    tools_with_history: bool = False
    web_search: bool = False
    search_beside_functions: bool = True
    named_server_tools: bool = False
    repeated_tools: bool = False
    merged_turns: bool = True
    mid_system: Literal["in_place", "if_model", "never"] = "never"
    developer_role: bool = False
    call_signatures: bool = False
    images_in_results: bool = True
    image_urls: bool = True
    document_urls: bool = True
    text_documents: bool = True
    document_names: bool = False
    google_files: bool = False
    s3_locations: bool = False
    bedrock_schemas: bool = False
    call_sentinels: bool = False
    audio: bool = False
    video: bool = False
    refusals: bool = False
    max_cache_marks: int = 4
    falling_cache_times: bool = False
    max_stop: int | None = None
    max_temperature: float = 1.0
    max_tokens_required: bool = False
    json_object: bool = False
    any_output_root: bool = False
    assistant_media: bool = False


# URLs that Gemini reads by itself (https://ai.google.dev/gemini-api/docs/files).
GOOGLE_READS = re.compile(
    r"gs://|https://generativelanguage\.googleapis\.com/|https://(?:www\.)?(?:youtube\.com|youtu\.be)/"
)
_NAME_64 = re.compile(r"[a-zA-Z0-9_-]{1,64}")

CHAT_COMPLETIONS: Final = FormatRules(
    format="chat_completions",
    reasoning="effort",
    tool_name=_NAME_64,
    tool_name_characters="a-zA-Z0-9_-",
    tool_name_length=64,
    call_id=re.compile(r"[\x21-\x7e]{1,40}"),
    native_custom_tools=True,
    repeated_tools=True,
    allowed_tools=True,
    merged_turns=False,
    mid_system="in_place",
    developer_role=True,
    call_signatures=True,
    images_in_results=False,
    document_urls=False,
    text_documents=False,
    audio=True,
    refusals=True,
    max_stop=4,
    max_temperature=2.0,
    json_object=True,
)

RESPONSES: Final = replace(
    CHAT_COMPLETIONS,
    format="responses",
    call_id=re.compile(r"[\x21-\x7e]{1,64}"),
    native_namespaces=True,
    web_search=True,
    call_signatures=False,
    images_in_results=True,
    document_urls=True,
    audio=False,
    max_stop=0,
)

MESSAGES: Final = FormatRules(
    format="messages",
    reasoning="thinking",
    tool_name=_NAME_64,
    tool_name_characters="a-zA-Z0-9_-",
    tool_name_length=64,
    call_id=re.compile(r"[a-zA-Z0-9_-]{1,64}"),
    web_search=True,
    named_server_tools=True,
    mid_system="if_model",
    falling_cache_times=True,
    max_tokens_required=True,
)

CONVERSE: Final = FormatRules(
    format="converse",
    reasoning="thinking",
    tool_name=_NAME_64,
    tool_name_characters="a-zA-Z0-9_-",
    tool_name_length=64,
    call_id=re.compile(r"[a-zA-Z0-9_.:-]{1,64}"),
    tool_choice_none=False,
    tools_with_history=True,
    image_urls=False,
    document_urls=False,
    document_names=True,
    s3_locations=True,
    bedrock_schemas=True,
    falling_cache_times=True,
    audio=True,
    video=True,
)

GENERATE_CONTENT: Final = FormatRules(
    format="generate_content",
    reasoning="gemini",
    tool_name=re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}"),
    tool_name_characters="a-zA-Z0-9_.:-",
    tool_name_length=128,
    call_id=re.compile(r"[\x21-\x7e]{1,128}"),
    namespace_separator=".",
    allowed_tools=True,
    web_search=True,
    call_signatures=True,
    call_sentinels=True,
    google_files=True,
    image_urls=False,
    document_urls=False,
    text_documents=False,
    audio=True,
    video=True,
    max_cache_marks=0,
    max_stop=5,
    max_temperature=2.0,
    json_object=True,
    any_output_root=True,
    assistant_media=True,
)

# Bedrock's Messages surfaces take no URLs and run no search
# (https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html).
BEDROCK_MESSAGES: Final = replace(
    MESSAGES, image_urls=False, document_urls=False, web_search=False, bedrock_schemas=True
)

RULES: Final[dict[str, FormatRules]] = {
    "chat_completions": CHAT_COMPLETIONS,
    "responses": RESPONSES,
    "messages": MESSAGES,
    "invoke": BEDROCK_MESSAGES,
    "converse": CONVERSE,
    "generate_content": GENERATE_CONTENT,
}

# Where a backend's dialect of a format is narrower.
OVERRIDES: Final[dict[tuple[str, str], FormatRules]] = {
    ("messages", "bedrock"): BEDROCK_MESSAGES,
    ("messages", "databricks"): replace(MESSAGES, web_search=False),
    ("responses", "databricks"): replace(RESPONSES, web_search=False),
    # Free-text tools are OpenAI's own, whatever model a server of this format has.
    **{
        ("chat_completions", provider): replace(CHAT_COMPLETIONS, native_custom_tools=False)
        for provider in ("openrouter", "litellm", "databricks", "openai-compatible")
    },
    # Vertex AI, which is reached by its address alone, has no `includeServerSideToolInvocations`.
    ("generate_content", "openai-compatible"): replace(GENERATE_CONTENT, search_beside_functions=False),
}


def rules_for(format_name: str, target: Target) -> FormatRules:
    """The rules of `format_name` as `target`'s backend speaks it."""
    return OVERRIDES.get((format_name, target.provider), RULES[format_name])
