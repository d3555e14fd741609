"""Whole answers of Chat Completions, read and written.

https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from core.conversation import (
    Answer,
    Block,
    Citation,
    Conversation,
    Image,
    JsonObject,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from core.errors import UpstreamFault, upstream_fault
from core.events import answer_of
from core.formats.chat_completions.dialects import SERVICE_TIERS
from core.formats.chat_completions.read_tools import answers_with_function
from core.formats.chat_completions.reasoning_slots import write_details
from core.formats.chat_completions.stream_decoder import ChunkReader
from core.formats.chat_completions.usage import finish_reason, write_usage
from core.formats.chat_completions.wire import broken_by
from core.formats.contract import Reply, Target

# The members of an answer, its first choice and its message that have a neutral field.
_ANSWER_MEMBERS = frozenset({"id", "object", "created", "model", "choices", "usage", "service_tier"})
_CHOICE_MEMBERS = frozenset({"index", "message", "finish_reason"})
_MESSAGE_MEMBERS = frozenset(
    {
        "role",
        "content",
        "refusal",
        "tool_calls",
        "function_call",
        "audio",
        "annotations",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "thinking_blocks",
        "images",
    }
)


def read_response(body: JsonObject, target: Target) -> Answer:
    """The answer in `body`. Raises UpstreamFault when it is an error in disguise, or no answer at all.

    A whole message is read as one delta, so that streams and whole answers cannot differ.
    """
    choice = _first_choice(body)
    message = choice.get("message")
    reader = ChunkReader(target)
    chunk = {**body, "choices": [{**choice, "delta": _numbered(message) if isinstance(message, dict) else {}}]}
    finish = choice.get("finish_reason")
    if not isinstance(finish, str):
        chunk["choices"][0]["finish_reason"] = ""
    answer = answer_of([*reader.read(chunk), *reader.finish(done=True)])
    answer.extra = _extra(body, choice, message if isinstance(message, dict) else {})
    return answer


def _numbered(message: JsonObject) -> JsonObject:
    """The message as a delta: each of its calls is one of its own, whatever index or id the server gave it."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    entries = [{**call, "index": place} if isinstance(call, dict) else call for place, call in enumerate(calls)]
    return {**message, "tool_calls": entries}


def _first_choice(body: JsonObject) -> JsonObject:
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict):
        return {**choice, "index": 0}
    if body.get("error"):
        return {}
    raise _no_answer()


def _no_answer() -> UpstreamFault:
    return upstream_fault("upstream", "the backend's answer holds no choice", 502)


def _extra(body: JsonObject, choice: JsonObject, message: JsonObject) -> JsonObject:
    """What has no neutral field, under the wire's own names, for a writer of this format."""
    extra = _beside(body, _ANSWER_MEMBERS)
    of_choice = _beside(choice, _CHOICE_MEMBERS)
    of_message = _beside(message, _MESSAGE_MEMBERS)
    if of_message:
        of_choice["message"] = of_message
    if of_choice:
        extra["choices"] = [of_choice]
    return extra


def _beside(members: JsonObject, known: frozenset[str]) -> JsonObject:
    if known.issuperset(members):
        return {}
    return {name: value for name, value in members.items() if name not in known}


def write_response(answer: Answer, reply: Reply) -> JsonObject:
    """The answer as OpenAI writes it, with `reasoning_content` and `reasoning_details` beside.

    Raises UpstreamFault for an answer that ended in an error: no finish reason says that.
    """
    if answer.stop.reason == "error":
        raise broken_by(answer.stop)
    same_format = answer.format == "chat_completions"
    extra = dict(answer.extra) if same_format else {}
    choice_extra = dict((extra.pop("choices", None) or [{}])[0])
    message = write_message(answer, reply)
    message.update(choice_extra.pop("message", {}))
    word = finish_reason(answer.stop, same_format=same_format)
    written: JsonObject = {
        "id": answer_id(answer.id, answer.format, reply),
        "object": "chat.completion",
        "created": reply.created if answer.created is None else answer.created,
        "model": reply.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "function_call" if "function_call" in message else word,
                **choice_extra,
            }
        ],
    }
    usage = answer.usage.raw if same_format and answer.usage.raw else write_usage(answer.usage)
    if usage is not None:
        written["usage"] = usage
    written.update(write_tier(answer.service_tier, same_format=same_format))
    return {**written, **extra}


def write_tier(tier: str | None, *, same_format: bool) -> JsonObject:
    """The member `service_tier`, where the format has the word."""
    return {"service_tier": tier} if tier is not None and (same_format or tier in SERVICE_TIERS) else {}


def answer_id(id_: str, format_: str | None, reply: Reply) -> str:
    """The backend's own id where it is of this format, else a new one of OpenAI's form."""
    return id_ if format_ == "chat_completions" and id_ else f"chatcmpl-{reply.id_suffix}"


def write_message(answer: Answer, reply: Reply) -> JsonObject:
    """The assistant message of a whole answer."""
    content = _joined_text(answer.content)
    refusals = [block.text for block in answer.content if isinstance(block, Refusal)]
    if answer.stop.refusal is not None and not refusals:
        refusals = [answer.stop.refusal]
    calls = [block for block in answer.content if isinstance(block, ToolCall)]
    message: JsonObject = {
        "role": "assistant",
        "content": content or (None if calls or refusals else ""),
        "refusal": "".join(refusals) or None,
    }
    annotations = write_annotations(answer)
    if annotations:
        message["annotations"] = annotations
    _put_reasoning(message, answer, reply)
    signatures = [block.signature for block in answer.content if isinstance(block, Text) and block.signature]
    if signatures:
        message["extra_content"] = signature_slot(signatures[0])
    if calls and answers_with_function(reply.conversation):
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        own = answer.format == "chat_completions"
        message["tool_calls"] = [{**write_answer_call(call), **(call.extra if own else {})} for call in calls]
    images = [block for block in answer.content if isinstance(block, Image)]
    if images:
        message["images"] = [write_answer_image(image, index) for index, image in enumerate(images)]
    for block in answer.content:
        if isinstance(block, Opaque) and block.format == "chat_completions":
            message[block.kind] = block.raw
    return message


def _joined_text(blocks: list[Block]) -> str:
    """All that was said. The texts of one message make one text; messages that were apart stay so."""
    content = ""
    for block in blocks:
        if isinstance(block, Text):
            content += (separator_before(block) if content else "") + block.text
    return content


def separator_before(block: Text) -> str:
    """What keeps a text from the one before it: a blank line where it began a message of its own, as the Responses
    API's items do; nothing where it goes on."""
    return "\n\n" if block.note is not None and "item" in block.note else ""


def write_answer_image(image: Image, index: int) -> JsonObject:
    """An image that the model made, where OpenRouter puts it."""
    source = image.source
    url = f"data:{source.media_type};base64,{source.data}" if source.kind == "base64" else source.data
    return {"type": "image_url", "image_url": {"url": url}, "index": index}


def write_answer_call(call: ToolCall) -> JsonObject:
    """One entry of an answer's `tool_calls`."""
    if call.kind == "custom":
        written: JsonObject = {"name": call.name, "input": call.arguments}
    else:
        written = {"name": call.name, "arguments": call.arguments or "{}"}
    entry: JsonObject = {"id": call.id, "type": call.kind, call.kind: written}
    if call.signature:
        entry["extra_content"] = signature_slot(call.signature)
    return entry


def signature_slot(signature: str) -> JsonObject:
    """Where Gemini's OpenAI-shaped endpoint puts a thought signature."""
    return {"google": {"thought_signature": signature}}


def write_annotations(answer: Answer) -> list[JsonObject]:
    """`annotations` of the joined text: each block's offsets are shifted by the text before it."""
    written = []
    base = 0
    for block in answer.content:
        if isinstance(block, Text):
            base += len(separator_before(block)) if base else 0
            for citation in block.citations:
                annotation = write_annotation(citation, base, len(block.text))
                if annotation is not None:
                    written.append(annotation)
            base += len(block.text)
    return written


def write_annotation(citation: Citation, base: int, length: int) -> JsonObject | None:
    """One `url_citation`; None for a source without a URL, which the format cannot name. A citation without
    offsets stands for the whole block, `length` characters from `base` on."""
    if base == 0 and "url_citation" in citation.raw:
        return citation.raw  # it came in this format
    if citation.url is None:
        return None
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": base + (citation.start or 0),
            "end_index": base + (length if citation.end is None else citation.end),
            "url": citation.url,
            "title": citation.title or citation.url,
        },
    }


def shows_reasoning(conversation: Conversation) -> bool:
    """Whether the client wants to see reasoning: it said nothing against it."""
    request = conversation.reasoning
    return request is None or request.display != "none"


def _put_reasoning(message: JsonObject, answer: Answer, reply: Reply) -> None:
    blocks = [block for block in answer.content if isinstance(block, Reasoning)]
    if not blocks or not shows_reasoning(reply.conversation):
        return
    text = "\n\n".join(block.text for block in blocks if block.text)
    if text:
        message["reasoning_content"] = text
    details: list[JsonObject] = []
    for block in blocks:
        details += write_details(block, len(details))
    if details:
        message["reasoning_details"] = details
