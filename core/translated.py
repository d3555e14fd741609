"""A candidate that speaks another format: the request through the neutral conversation, the answer back through
the neutral events. Imported when a request first needs it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from core.continuation import Story
from core.conversation import Conversation, ReasoningRequest, Source
from core.errors import ClientFault, GatewayError, StreamBroken, UpstreamFault, upstream_fault
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Started
from core.formats import load_format, load_wire
from core.formats.contract import Call, Format, Observation, Reply, StreamDecoder, StreamEncoder, Target, Wire, Written
from core.generation import Generation
from core.http import HeaderList, trace_headers
from core.json_edit import dump, load
from core.models.resolve import facts_for
from core.passthrough import endpoint_url
from core.pauses import may_pause
from core.ports import BackendRequest, Media
from core.providers.bedrock import option_headers, option_members
from core.redaction import redact
from core.relay import Pipe, WholeAnswer
from core.routing.registry import Backend, Candidate
from core.slotted import replace
from core.translation.answer_losses import AnswerLosses
from core.translation.content import urls_to_inline, with_inlined
from core.translation.paths import spelled
from core.translation.pipeline import translate_request
from core.translation.prepare import Restore
from core.translation.rules import FormatRules, rules_for
from core.translation.survey import survey_of


class TranslationPipe:
    """A backend's stream decoded to events, and the events encoded for the client (core.relay.Pipe)."""

    def __init__(
        self, decoder: StreamDecoder, restore: Restore, encoder: StreamEncoder, story: Story | None = None
    ) -> None:
        self._decoder = decoder
        self._restore = restore
        self._encoder = encoder
        self.story = story
        self.headers: HeaderList = []  # the request's, whose credentials no error tells
        self.losses: AnswerLosses | None = None
        self.observation = Observation()
        self.started = False
        self.alive = False
        self.finished = False
        self.error: UpstreamFault | None = None

    def feed(self, data: bytes) -> bytes:
        return self._encode(self._decoder.feed(data))

    def close(self) -> bytes:
        return self._encode(self._decoder.close())

    def fail(self, error: GatewayError, request_id: str) -> bytes:
        fault = error
        if not isinstance(fault, UpstreamFault):
            fault = StreamBroken(error.kind, error.message, status=error.status, retry_after=error.retry_after)
        return self._encoder.emit(Failed(fault)) + self._encoder.close()

    def _encode(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        out: list[bytes] = []
        for decoded in events:
            for event in self._restore.events(decoded):
                if type(event) is not PartDelta:  # which is nearly all of a stream
                    self._observe(event)
                    if isinstance(event, Failed) and not self.started:
                        continue  # the next candidate is tried; what was encoded so far is thrown away
                if self.story is None:
                    out.append(self._encoder.emit(event))
                else:
                    out.extend(self._encoder.emit(item) for item in self.story.events(event))
        if self.finished or (self.started and self.error is not None and not self._may_go_on()):
            out.append(self._encoder.close())
        return b"".join(out)

    def _may_go_on(self) -> bool:
        return self.story is not None and self.story.can_go_on

    def _observe(self, event: Event) -> None:
        losses = self.losses
        match event:
            case Started():
                self.alive = True
                if losses is not None:
                    losses.begin(event.format, event.extra)
                self.observation.model = event.model or None
                self.observation.response_id = event.id or None
                self.observation.usage.merge(event.usage)
            case PartStarted():
                self.started = True
                if losses is not None:
                    losses.block(event.block)
            case PartEnded() if losses is not None:
                losses.ended(event.block)
            case Finished():
                self.finished = self.started = True
                if losses is not None:
                    losses.finished(event.stop, event.extra)
                self.observation.stop = event.stop
                self.observation.usage.merge(event.usage)
                self.observation.usage.tier = self.observation.usage.tier or event.service_tier
            case Failed():
                redact(event.error, self.headers)
                self.error = event.error
            case _:
                pass


class TranslatedRequest:
    """A translated request and the way back (core.attempts.Prepared)."""

    def __init__(self, request: BackendRequest, way: _Way, dropped: list[str]) -> None:
        self.request = request
        self.edits: list[str] = []
        self.dropped = dropped
        self.pauses = False
        self.backend_format = way.backend_format
        self.translation = f"{way.client_format}>{way.backend_format}"
        self._way = way

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        return self._way.wire.read_error(status, headers, body)

    def pipe(self) -> Pipe:
        way = self._way
        decoder = way.backend.StreamDecoder(way.target)
        story = way.story
        if story is None:
            pipe = TranslationPipe(decoder, way.restore, way.encoder())
        else:
            if story.encoder is None:
                story.encoder = way.encoder()
            else:
                story.resume()
            pipe = TranslationPipe(decoder, way.restore, story.encoder, story)
        pipe.headers = self.request.headers
        pipe.losses = AnswerLosses(way.reply.conversation.format, self.dropped)
        return pipe

    def whole(self, body: bytes) -> WholeAnswer:
        way = self._way
        try:
            values = load(body)
        except (ValueError, RecursionError) as error:
            raise _unreadable(way.target, "is not JSON") from error
        if not isinstance(values, dict):
            raise _unreadable(way.target, "is not a JSON object")
        answer = way.restore.answer(way.backend.read_response(values, way.target))
        AnswerLosses(way.reply.conversation.format, self.dropped).whole(answer)
        observation = Observation(answer.model or None, answer.id or None, answer.stop, answer.usage)
        observation.usage.tier = observation.usage.tier or answer.service_tier
        return WholeAnswer(dump(way.client.write_response(answer, way.reply)), observation)


class _Way:
    """Both formats of one translation and what the way back needs."""

    def __init__(self, generation: Generation, target: Target, backend_format: str, restore: Restore) -> None:
        self.client_format = generation.native_format
        self.backend_format = backend_format
        self.client: Format = load_format(generation.native_format)
        self.backend: Format = load_format(backend_format)
        self.wire: Wire = load_wire(backend_format)
        self.target = target
        self.restore = restore
        self.reply: Reply
        self.story: Story | None = None
        self._array = generation.array

    def encoder(self) -> StreamEncoder:
        """The client's encoder; Gemini's has two framings."""
        if self._array:
            array: StreamEncoder = getattr(self.client, "ArrayStreamEncoder")(self.reply)  # noqa: B009  # one format's own
            return array
        return self.client.StreamEncoder(self.reply)


def _unreadable(target: Target, why: str) -> UpstreamFault:
    return upstream_fault("upstream", f"Backend {target.backend}: the answer {why}.", 502)


async def prepare_translated(
    generation: Generation, candidate: Candidate, reply: Reply, media: Media, story: Story | None = None
) -> TranslatedRequest:
    """The request for `candidate` in its own format. With a `story`, which needs the answer's events, that may be the
    client's own. Raises Unsupported or ClientFault for what cannot be carried."""
    backend = candidate.backend
    conversation = with_defaults(reply.conversation, candidate.defaults)
    backend_format = backend.richest_format(candidate.api_model)
    if story is not None and backend.speaks(generation.native_format, candidate.api_model):
        backend_format = generation.native_format
    provider = backend.provider.name
    facts = facts_for(candidate.model or candidate.api_model, provider)
    target = Target(candidate.api_model, backend.name, provider, facts, generation.stream)
    survey = survey_of(conversation.messages)
    if survey.has_media():
        conversation = await _inlined(generation, conversation, rules_for(backend_format, target), media)
    translated = translate_request(conversation, backend_format, target, survey)
    way = _Way(generation, target, backend_format, translated.restore)
    way.reply, way.story = reply, story
    paths = backend.paths(backend_format)
    assert paths is not None  # richest_format chose one of them
    path = paths.stream if generation.stream and paths.stream else paths.generate
    url = endpoint_url(backend, path, candidate.api_model)
    written = translated.written
    headers = _headers(backend, written.headers, generation.stream, way.wire)
    headers.extend(option_headers(backend.options, backend_format))
    headers.extend(trace_headers(generation.request.headers))
    written.body.update(option_members(backend.options, backend_format))
    pauses = backend_format == "messages" != conversation.format and may_pause(written.body)
    request = BackendRequest("POST", url, headers, dump(written.body), backend.connect_timeout)
    prepared = TranslatedRequest(request, way, _named(generation, conversation, written))
    prepared.pauses = pauses and backend.auth != "iam"  # a signature holds for one body
    return prepared


def _named(generation: Generation, conversation: Conversation, written: Written) -> list[str]:
    """What was dropped, in the words of this very request."""
    values = generation.document.values
    names = (spelled(conversation.format, item.path, values) for item in written.dropped)
    return list(dict.fromkeys(names))


async def _inlined(
    generation: Generation, conversation: Conversation, rules: FormatRules, media: Media
) -> Conversation:
    """`conversation` with the media that the backend takes as bytes only; fetched once for all candidates."""
    wanted = urls_to_inline(conversation, rules)
    if not wanted:
        return conversation
    fetched: dict[str, Source] = generation.memo.setdefault("media", {})
    for source in wanted:
        if source.data not in fetched:
            media_type, data = await media.fetch(source.data)
            encoded = base64.b64encode(data).decode()
            fetched[source.data] = Source("base64", encoded, media_type or source.media_type)
    return with_inlined(conversation, fetched)


def read_conversation(generation: Generation) -> Conversation:
    """The client's request as a neutral conversation; read once for all candidates."""
    conversation: Conversation | None = generation.memo.get("conversation")
    if conversation is None:
        call = Call(generation.model, generation.stream, generation.request.headers)
        conversation = load_format(generation.native_format).read_request(generation.document.values, call)
        generation.memo["conversation"] = conversation
    return conversation


def _headers(backend: Backend, written: Mapping[str, str], stream: bool, wire: Wire) -> list[tuple[str, str]]:
    merged = {**backend.provider.headers, "content-type": "application/json"}
    merged["accept"] = wire.STREAM_CONTENT_TYPE.partition(";")[0] if stream else "application/json"
    merged.update(written)
    merged.update(backend.headers)
    return list(merged.items())


def with_defaults(conversation: Conversation, defaults: Mapping[str, Any]) -> Conversation:
    """`conversation` with the candidate's defaults in the knobs that the client left open."""
    for knob, value in defaults.items():
        apply = _DEFAULTS.get(knob)
        if apply is None:
            raise ClientFault("configuration", f"The configured default '{knob}' has no meaning across formats.")
        conversation = apply(conversation, value)
    return conversation


def _member(name: str) -> Callable[[Conversation, Any], Conversation]:
    def apply(conversation: Conversation, value: Any) -> Conversation:
        return conversation if getattr(conversation, name) is not None else replace(conversation, **{name: value})

    return apply


def _sampling(name: str) -> Callable[[Conversation, Any], Conversation]:
    def apply(conversation: Conversation, value: Any) -> Conversation:
        if getattr(conversation.sampling, name) is not None:
            return conversation
        return replace(conversation, sampling=replace(conversation.sampling, **{name: value}))

    return apply


def _effort(conversation: Conversation, value: Any) -> Conversation:
    asked = conversation.reasoning or ReasoningRequest()
    if asked.mode is not None or asked.effort is not None or asked.budget is not None:
        return conversation
    return replace(conversation, reasoning=replace(asked, mode="effort", effort=value))


def _summary(conversation: Conversation, value: Any) -> Conversation:
    asked = conversation.reasoning or ReasoningRequest()
    if asked.display is not None:
        return conversation
    return replace(conversation, reasoning=replace(asked, display=value))


def _truncation(conversation: Conversation, value: Any) -> Conversation:
    if "truncation" in conversation.extra:
        return conversation
    return replace(conversation, extra={**conversation.extra, "truncation": value})


_DEFAULTS: dict[str, Callable[[Conversation, Any], Conversation]] = {
    "max_tokens": _member("max_tokens"),
    "reasoning_effort": _effort,
    "summary_level": _summary,
    "verbosity_level": _member("verbosity"),
    "truncation_strategy": _truncation,
    "temperature": _sampling("temperature"),
    "top_p": _sampling("top_p"),
    "top_k": _sampling("top_k"),
    "service_tier": _member("service_tier"),
}
