"""The chat API's requests and answers as pydantic models: they validate, and they are the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.chat.attachments import MOST
from core.conversation import Effort
from core.errors import ClientFault
from handlers.admin_models import Fault

LONGEST_PROMPT = 1_000_000

Model = Annotated[str, Field(min_length=1, max_length=500, description="A name of `GET /api/v1/models`.")]
Prompt = Annotated[str, Field(max_length=LONGEST_PROMPT)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
MaxTokens = Annotated[int, Field(ge=1, le=10_000_000)]


def _one_of(*forms: tuple[str, ...]) -> dict[str, Any]:
    """JSON Schema for members that come in one of several forms."""
    present = [{"required": list(names), "properties": {name: {"not": {"type": "null"}} for name in names}}
               for names in forms]
    return {"oneOf": present}


def wrong(field: str, problem: str) -> ClientFault:
    """The 400 for a field."""
    return ClientFault("bad_request", f"The field '{field}' is not valid: {problem}.", param=field)


class Asked(BaseModel):
    """What clients send. Unknown members are refused, so a misspelt one does not go unnoticed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class AttachmentIn(Asked):
    """An image (PNG, JPEG, GIF, WebP) or a PDF."""

    type: Literal["image", "document"]
    media_type: str = Field(max_length=100, examples=["image/png", "application/pdf"])
    data: str = Field(min_length=1, description="The file, base64.")
    name: str = Field("", max_length=200)


class MessageIn(Asked):
    role: Literal["user", "assistant", "system"]
    content: Prompt


class Knobs(Asked):
    system_prompt: Prompt | None = Field(None, description="Instructions; DEFAULT_SYSTEM_PROMPT where there is none.")
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None


_ANSWERED_AGAIN: dict[str, Any] = {
    "required": ["regenerate", "session_id"],
    "properties": {"regenerate": {"const": True}, "session_id": {"not": {"type": "null"}}},
}


class ChatIn(Knobs):
    """A message in a session (`message`), a whole conversation (`messages`), or a session whose last question is
    answered again (`regenerate`)."""

    message: Prompt | None = Field(None, examples=["What is a gateway?"])
    messages: list[MessageIn] | None = Field(None, min_length=1, max_length=10_000)
    model: Model
    session_id: str | None = Field(
        None, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Goes on with a session; one of a name of your own is made on demand.",
    )
    attachments: list[AttachmentIn] = Field(default_factory=list, max_length=MOST)
    reasoning_effort: Effort | None = None
    regenerate: bool = Field(False, description="The answer takes the place of the session's last one.")

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [*_one_of(("message",), ("messages",))["oneOf"], _ANSWERED_AGAIN]}
    )

    def check(self) -> None:
        """What concerns several fields. Raises ClientFault that names one."""
        if self.regenerate:
            self._check_again()
            return
        if (self.message is None) == (self.messages is None):
            raise wrong("message", "either it or 'messages' must be there")
        if self.message is not None and not self.message.strip() and not self.attachments:
            raise wrong("message", "it must not be empty")
        if self.messages is not None and all(each.role == "system" for each in self.messages):
            raise wrong("messages", "one of them must be the user's")

    def _check_again(self) -> None:
        present = [name for name in ("message", "messages") if getattr(self, name) is not None]
        present += ["attachments"] if self.attachments else []
        if present:
            raise wrong(present[0], "the last question of the session is answered again, and nothing is added to it")
        if self.session_id is None:
            raise wrong("session_id", "'regenerate' answers the last question of a session again")


class CompareIn(Knobs):
    """A prompt for two to four models at once: `modelA` and `modelB`, or `models`."""

    prompt: Prompt = Field(min_length=1)
    modelA: Model | None = None
    modelB: Model | None = None
    models: list[Model] | None = Field(None, min_length=2, max_length=4)
    reasoning_effort: Effort | None = None

    model_config = ConfigDict(json_schema_extra=_one_of(("modelA", "modelB"), ("models",)))

    def check(self) -> None:
        """What concerns several fields. Raises ClientFault that names one."""
        pair = [name for name, value in (("modelA", self.modelA), ("modelB", self.modelB)) if value is not None]
        if self.models is not None and pair:
            raise wrong("models", f"it does not go with '{pair[0]}'")
        if self.models is None and len(pair) < 2:
            raise wrong("modelB" if pair == ["modelA"] else "modelA", "two models are compared, or more in 'models'")
        if not self.prompt.strip():
            raise wrong("prompt", "it must not be empty")

    def names(self) -> list[str]:
        return self.models if self.models is not None else [name for name in (self.modelA, self.modelB) if name]


class StepIn(Knobs):
    """A step of a chain. `prompt_template` may hold {input}, the first message, and {previous}, the answer before."""

    model: Model
    prompt_template: Prompt | None = None


class ChainIn(Asked):
    message: Prompt = Field(min_length=1)
    steps: list[StepIn] = Field(min_length=1, max_length=10)
    stream: bool = False


class TitleIn(Asked):
    title: str = Field(min_length=1, max_length=200)


class UsageOut(BaseModel):
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int
    total_tokens: int


class ToolCallOut(BaseModel):
    id: str
    name: str
    arguments: Any


class AnswerMessage(BaseModel):
    role: Literal["assistant"]
    content: str = Field(description="Markdown, as the model wrote it.")
    reasoning: str | None = None
    tool_calls: list[ToolCallOut] | None = None


class ChatOut(BaseModel):
    id: str
    session_id: str | None
    model: str
    message: AnswerMessage
    usage: UsageOut
    cost_usd: float | None
    finish_reason: str
    backend: str
    served_model: str
    attempts: int
    time_to_first_token_ms: int | None
    duration_ms: int
    notices: list[str]
    created: float


class SessionOut(BaseModel):
    id: str
    title: str
    model: str
    message_count: int
    created: float
    updated: float
    expires: float


class SessionsOut(BaseModel):
    sessions: list[SessionOut]
    next_cursor: str | None
    total: int | None = Field(description="How many there are; null for more than a thousand, and for a search.")


class AttachmentOut(BaseModel):
    type: Literal["image", "document"]
    media_type: str
    name: str
    data: str | None = None


class KeptMessage(BaseModel):
    id: str
    role: Literal["user", "assistant"]
    content: str
    status: Literal["complete", "partial", "failed"]
    created: float
    reasoning: str | None = None
    attachments: list[AttachmentOut] | None = None
    tool_calls: list[ToolCallOut] | None = None
    model: str | None = None
    usage: UsageOut | None = None
    cost_usd: float | None = None


class WholeSession(SessionOut):
    system_prompt: str | None
    messages: list[KeptMessage]


class ComparedOut(BaseModel):
    model: str
    content: str
    reasoning: str | None = None
    usage: UsageOut
    cost_usd: float | None
    time_to_first_token_ms: int | None
    duration_ms: int
    tokens_per_second: float | None
    finish_reason: str
    backend: str
    error: Fault | None


class CompareOut(BaseModel):
    prompt: str
    results: list[ComparedOut]


class StepOut(BaseModel):
    index: int
    model: str
    content: str
    usage: UsageOut
    cost_usd: float | None
    duration_ms: int
    error: Fault | None


class ChainOut(BaseModel):
    message: str
    steps: list[StepOut]
    usage: UsageOut
    cost_usd: float | None


class Capabilities(BaseModel):
    streaming: bool
    tools: bool
    images: bool
    documents: bool
    audio: bool
    reasoning: bool
    structured_output: bool


class ModelLimits(BaseModel):
    context_tokens: int | None
    max_output_tokens: int | None


class PriceOut(BaseModel):
    """USD for a million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float


class ModelBackend(BaseModel):
    backend: str
    api_model: str
    region: str | None
    priority: int
    state: Literal["ok", "cooling", "down", "not_configured"]


class ModelOut(BaseModel):
    id: str
    display_name: str
    capabilities: Capabilities | None
    limits: ModelLimits
    price: PriceOut | None
    backends: list[ModelBackend]
    status: Literal["available", "degraded", "unavailable"]
    quota: dict[str, Any] | None


class PatternOut(BaseModel):
    """Names that the gateway serves without listing them: all that match."""

    id: str = Field(
        examples=["claude-*haiku*"], description="`*` stands for any text, `?` for a letter, `[1-9]` for one of these."
    )
    pattern: Literal[True]


class ModelsOut(BaseModel):
    models: list[ModelOut | PatternOut] = Field(description="Names, then patterns of names.")
    default: str | None
