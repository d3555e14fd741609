"""The neutral request and answer: ordered, typed blocks, with room for what one format alone knows.

Nothing here knows a wire format. Three rules make it lossless:
- every node has `extra`: the members of its origin that have no neutral field, under the origin's own names.
  A writer of the same format puts them back; a writer of another format reports each as dropped.
- `note` is the reader's bookkeeping (where an item began, its id): a writer of the same format looks at it, all
  others pass over it, and nobody is warned.
- state that only its issuer can read (signatures, encrypted reasoning) carries an `Origin` and goes back only
  there, byte for byte.
"""

from __future__ import annotations

from typing import Final, Literal

from core.json_edit import JsonObject as JsonObject
from core.slotted import field, slotted
from core.stop import Stop as Stop
from core.usage import Usage

type FormatName = Literal["chat_completions", "responses", "messages", "converse", "generate_content"]
type Role = Literal["system", "developer", "user", "assistant", "tool"]


@slotted(frozen=True)
class Origin:
    """Who issued a piece of opaque reasoning state: the vendor whose models can read it
    (`anthropic`, `openai`, `google`, ...) and the model family or endpoint, where that matters."""

    vendor: str
    model: str = ""


@slotted
class CacheMark:
    """A prompt-cache breakpoint after the node that carries it. `ttl`: `5m`, `1h`, `30m`, `12h` or None."""

    ttl: str | None = None
    extra: JsonObject = field(default_factory=dict)


@slotted
class Source:
    """Where the bytes of an image, document, audio or video are.

    base64: `data` is base64 text; url: `data` is the URL; file_id: `data` is the vendor's id;
    text: `data` is plain text; blocks: `blocks` holds nested content; s3: `data` is the s3 URI.
    `media_type` is normalised ("image/jpeg", never "image/jpg"), "" when unknown.
    """

    kind: Literal["base64", "url", "file_id", "text", "blocks", "s3"]
    data: str = ""
    media_type: str = ""
    blocks: list[Block] = field(default_factory=list)
    extra: JsonObject = field(default_factory=dict)
    note: JsonObject | None = None


@slotted
class Citation:
    """A reference from a text to a source. `start`/`end` are character offsets into the text that carries it.

    `raw` is the origin's own object; a writer of the same format sends it back unchanged.
    """

    url: str | None = None
    title: str | None = None
    cited_text: str | None = None
    start: int | None = None
    end: int | None = None
    raw: JsonObject = field(default_factory=dict)


@slotted
class Text:
    text: str
    citations: list[Citation] = field(default_factory=list)
    signature: str | None = None  # Gemini may sign a text part
    origin: Origin | None = None
    cache: CacheMark | None = None
    extra: JsonObject = field(default_factory=dict)
    note: JsonObject | None = None


@slotted
class Image:
    source: Source
    detail: str | None = None
    cache: CacheMark | None = None
    extra: JsonObject = field(default_factory=dict)


@slotted
class Document:
    """A PDF, an office file or a text. `name` is the file name or title that the client gave."""

    source: Source
    name: str | None = None
    context: str | None = None
    citations: bool | None = None
    cache: CacheMark | None = None
    extra: JsonObject = field(default_factory=dict)


@slotted
class Audio:
    source: Source
    cache: CacheMark | None = None
    extra: JsonObject = field(default_factory=dict)


@slotted
class Video:
    source: Source
    cache: CacheMark | None = None
    extra: JsonObject = field(default_factory=dict)


@slotted
class Reasoning:
    """A model's reasoning: readable text, and the state that only its issuer can read.

    `texts` are the pieces in order (Responses has several summary parts; other formats have one).
    `form` says whether they are a summary or the raw chain. `signature` signs the text (Anthropic, Gemini);
    `redacted` is an encrypted block without text (Anthropic's redacted_thinking data, Converse's
    redactedContent); `encrypted` is Responses' encrypted_content; `id` the issuer's item id.
    """

    texts: list[str] = field(default_factory=list)
    form: Literal["summary", "raw"] = "raw"
    signature: str | None = None
    redacted: str | None = None
    encrypted: str | None = None
    id: str | None = None
    origin: Origin | None = None
    extra: JsonObject = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The readable text; pieces are joined by a blank line."""
        return "\n\n".join(self.texts)


@slotted
class ToolCall:
    """The model wants a tool run by the client.

    `arguments` is text: a JSON object for a function (kept exactly as the model wrote it, so maybe empty or
    invalid), free text for a custom tool. `signature`: Gemini's thought signature on the call.
    """

    id: str
    name: str
    arguments: str = ""
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None
    signature: str | None = None
    origin: Origin | None = None
    cache: CacheMark | None = None
    extra: JsonObject = field(default_factory=dict)
    note: JsonObject | None = None


@slotted
class ToolResult:
    """What the client's tool gave back. `plain`: the content was a bare string in the origin."""

    call_id: str
    content: list[Block] = field(default_factory=list)
    is_error: bool | None = None
    name: str | None = None
    kind: Literal["function", "custom"] = "function"
    plain: bool = False
    cache: CacheMark | None = None
    extra: JsonObject = field(default_factory=dict)
    note: JsonObject | None = None


@slotted
class Refusal:
    """The model's words when it declines (OpenAI's refusal part)."""

    text: str
    extra: JsonObject = field(default_factory=dict)
    note: JsonObject | None = None


@slotted
class ServerToolCall:
    """The vendor ran a tool of its own. `raw` is the origin's block, whole; `tool` a neutral name
    (`web_search`, `code_execution`, ...), `arguments` its JSON text."""

    id: str
    tool: str
    arguments: str
    format: FormatName
    raw: JsonObject


@slotted
class ServerToolResult:
    """What the vendor's own tool gave back; `raw` is the origin's block, whole; `text` a readable digest."""

    call_id: str
    tool: str
    text: str
    format: FormatName
    raw: JsonObject


@slotted
class Opaque:
    """A block that only its own format knows: carried back there, dropped with a warning (or refused
    where `content` is true: it is content that the user meant to be read) elsewhere. Where it has a readable
    `text` (the summary that stands for a compacted history), that text goes elsewhere in its place."""

    format: FormatName
    kind: str
    raw: JsonObject
    content: bool = False
    text: str | None = None


type Block = (
    Text
    | Image
    | Document
    | Audio
    | Video
    | Reasoning
    | ToolCall
    | ToolResult
    | Refusal
    | ServerToolCall
    | ServerToolResult
    | Opaque
)


@slotted
class Message:
    """One turn, or a piece of one: formats that split a turn over several messages keep them apart here and
    `core.translation.turns` merges them for a target that wants it.

    System text that stood outside the message list is a leading `system` message whose `slot` says where
    (`system`, `instructions`, `systemInstruction`). A tool's results are ToolResult blocks, in a message of
    role `tool` (OpenAI's formats) or `user` (the others). `plain`: the content was a bare string.
    """

    role: Role
    content: list[Block] = field(default_factory=list)
    slot: str | None = None
    plain: bool = False
    name: str | None = None
    extra: JsonObject = field(default_factory=dict)
    note: JsonObject | None = None


@slotted
class Tool:
    """A tool on offer. `function`: `parameters` is its JSON Schema (None when absent). `custom`: free text,
    `grammar` is the origin's flat `{"type": "grammar", "syntax", "definition"}` or None. `server`: run by the
    vendor; `raw` is the origin's declaration, whole, and `name` its neutral name (`web_search`, ...).
    `client`: a tool whose schema only the vendor knows (Anthropic's bash_*, text_editor_*), in `raw` too."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None
    kind: Literal["function", "custom", "server", "client"] = "function"
    grammar: JsonObject | None = None
    namespace: str | None = None
    format: FormatName | None = None
    raw: JsonObject = field(default_factory=dict)
    cache: CacheMark | None = None
    extra: JsonObject = field(default_factory=dict)
    note: JsonObject | None = None


@slotted
class ToolChoice:
    """`named`: one tool must be called; `allowed`: any of `names`, as `required` says.

    None for `parallel` leaves the backend's default."""

    mode: Literal["auto", "none", "required", "named", "allowed"] = "auto"
    names: list[str] = field(default_factory=list)
    required: bool = False
    extra: JsonObject = field(default_factory=dict)


@slotted
class OutputFormat:
    """Structured output. `json_object`: any JSON; `json_schema`: this schema."""

    kind: Literal["text", "json_object", "json_schema"]
    schema: JsonObject | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    extra: JsonObject = field(default_factory=dict)


type Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@slotted
class ReasoningRequest:
    """How much the model shall reason, as the client said it; None for what it did not say.

    `mode`: `off`, `adaptive` (the model decides), `budget` (with `budget` tokens), `effort` (a level alone),
    `between_tools`. `display`: what the client wants to see: `none`, `summary`, `full` or the origin's own word.
    `encrypted`: the client asked for state that it can replay (Responses' include).
    """

    mode: Literal["off", "adaptive", "budget", "effort", "between_tools"] | None = None
    effort: Effort | None = None
    budget: int | None = None
    display: str | None = None
    encrypted: bool = False
    extra: JsonObject = field(default_factory=dict)


@slotted
class Sampling:
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None


@slotted
class Conversation:
    """A request for one answer.

    `format` is the client's; `extra` holds its top-level members without a neutral field.
    `stream` is whether the client wants a stream; `include_usage` is Chat's stream_options.include_usage.
    `cache_key`: OpenAI's prompt_cache_key. `user`: an end-user id, however the format calls it.
    """

    format: FormatName
    model: str
    messages: list[Message] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    reasoning: ReasoningRequest | None = None
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list)
    verbosity: str | None = None
    service_tier: str | None = None
    user: str | None = None
    metadata: JsonObject | None = None
    cache: CacheMark | None = None
    cache_key: str | None = None
    stream: bool = False
    include_usage: bool = False
    previous_response_id: str | None = None
    store: bool | None = None
    betas: list[str] = field(default_factory=list)
    extra: JsonObject = field(default_factory=dict)


@slotted
class Answer:
    """A whole answer. `content` holds only assistant blocks. `created` is in epoch seconds, None if unsaid."""

    id: str
    model: str
    content: list[Block] = field(default_factory=list)
    stop: Stop = field(default_factory=lambda: Stop("end_turn"))
    usage: Usage = field(default_factory=Usage)
    created: int | None = None
    service_tier: str | None = None
    format: FormatName | None = None
    extra: JsonObject = field(default_factory=dict)


@slotted(frozen=True)
class Dropped:
    """A warning: a tuning knob that the target cannot carry. `path` is where it stood in the client's own
    format (`temperature`, `tools[0].cache_control`); `reason` is for the log."""

    path: str
    reason: str


# Whose messages are instructions, not turns.
SYSTEM_ROLES: Final = frozenset({"system", "developer"})


def leading_system(messages: list[Message]) -> int:
    """How many messages the leading run of system text has."""
    for index, message in enumerate(messages):
        if message.role not in SYSTEM_ROLES:
            return index
    return len(messages)
