"""What one surface of Claude's does not take of a request in its own format: betas, the members behind them, versions.

Imported for those surfaces, and for clients that send a version other than the oldest.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from core.errors import Unsupported
from core.formats.messages.surfaces import BEDROCK_SURFACES, OLDEST_VERSION, TOOL_MEMBERS, Surface, outbound_version
from core.generation import Generation
from core.http import HeaderList
from core.models.betas import NOT_LOST, unserved_members, without_refused
from core.models.block_binding import with_binding
from core.models.resolve import facts_for
from core.passthrough import REMOVED
from core.routing.registry import Backend, Candidate
from core.slotted import field, slotted
from core.translation.losses import says_nothing

# Members and blocks inside the history that not every surface takes.
_DEEP = (b'"scope"', b'"clear_at"', b'"output_config"', b'"tool_addition"', b'"tool_removal"')

# InvokeModel has names of its own for the versions; the newest is the same.
_INVOKE_OLDEST = "bedrock-2023-05-31"


@slotted
class Native:
    """A request in its client's own format on its way to `candidate`: the headers, and the members that are forced
    upon the body. `edits` gets what is changed beside the body and loses the client nothing."""

    generation: Generation
    candidate: Candidate
    headers: HeaderList
    forced: dict[str, Any]
    edits: list[str] = field(default_factory=list)

    @property
    def backend(self) -> Backend:
        return self.candidate.backend


def keep_served(native: Native) -> list[str]:
    """Takes out of the headers and the body what the candidate's surface refuses; gives the names of what the client
    loses. Raises Unsupported for what may not be lost."""
    keep = _KEEPERS.get(native.generation.native_format)
    return keep(native) if keep is not None else []


def _messages(native: Native) -> list[str]:
    _choose_version(native)
    backend, headers = native.backend, native.headers
    if not backend.provider.surface:
        return []
    sent = [text for name, text in headers if name == "anthropic-beta"]
    betas = [beta.strip() for text in sent for beta in text.split(",") if beta.strip()]
    surface = Surface(backend.provider.name, betas)
    kept, refused = surface.betas, surface.refused
    if kept != betas:
        _set_header(headers, "anthropic-beta", ",".join(kept))
    values = native.generation.document.values
    members = unserved_members(values, kept)
    native.forced.update(dict.fromkeys(members, REMOVED))
    thinking = values.get("thinking")
    if isinstance(thinking, dict) and surface.name in BEDROCK_SURFACES:
        native.forced["thinking"] = with_binding(thinking, on_bedrock=True)
    lost = [member for member in members if not says_nothing(values[member])]
    for member in lost:
        if member in NOT_LOST:
            raise Unsupported(member, f"{member}: the backend {NOT_LOST[member]}.")
    inside = [*_serve_tools(native, surface), *_serve_history(native, surface)]
    return [*(f"anthropic-beta.{beta}" for beta in refused), *lost, *inside]


def _serve_tools(native: Native, surface: Surface) -> list[str]:
    """Forces the client's tools on the body without the members whose beta `surface` does not get; gives their names.
    Bedrock answers `tools.0.custom.eager_input_streaming: Extra inputs are not permitted`."""
    tools = native.generation.document.values.get("tools")
    if not isinstance(tools, list):
        return []
    lost: dict[str, None] = {}
    served: list[Any] = []
    for tool in tools:
        if isinstance(tool, dict) and not TOOL_MEMBERS.keys().isdisjoint(tool):
            tool, dropped = surface.split(tool, TOOL_MEMBERS)
            lost.update(dict.fromkeys(dropped))
        served.append(tool)
    if served != tools:
        native.forced["tools"] = served
    return [f"tools.{name}" for name in lost]


def _serve_history(native: Native, surface: Surface) -> list[str]:
    """Forces on the body what stands deeper in it as `surface` takes it; gives the names of what is lost."""
    if not any(word in native.generation.request.body for word in _DEEP):
        return []
    history = import_module("core.native_history").History(surface)  # few requests have such members
    native.forced.update(history.members({**native.generation.document.values, **native.forced}))
    return list(history.lost)


def _choose_version(native: Native) -> None:
    """The client's version is its dialect; the backend gets one that it serves for this model."""
    asked = next((value for name, value in native.headers if name == "anthropic-version"), OLDEST_VERSION)
    if "anthropic-version" in native.backend.headers:
        return
    model, provider = native.candidate.known_as, native.backend.provider.name
    served = outbound_version(provider, asked, facts_for(model, provider))
    if served != asked:
        _set_header(native.headers, "anthropic-version", served)
        native.edits.append("anthropic-version")


def _set_header(headers: HeaderList, name: str, value: str) -> None:
    headers[:] = [item for item in headers if item[0] != name]
    if value:
        headers.append((name, value))


def _invoke(native: Native) -> list[str]:
    values = native.generation.document.values
    facts = facts_for(native.candidate.known_as, native.backend.provider.name)
    if values.get("anthropic_version") == "2026-10-21" and facts.latest_anthropic_version == OLDEST_VERSION:
        native.forced["anthropic_version"] = _INVOKE_OLDEST
    kept, refused = _listed("invoke", values.get("anthropic_beta"))
    if refused:
        native.forced["anthropic_beta"] = kept or REMOVED
    return [f"anthropic_beta.{beta}" for beta in refused]


def _converse(native: Native) -> list[str]:
    fields = native.generation.document.values.get("additionalModelRequestFields")
    if not isinstance(fields, dict):
        return []
    kept, refused = _listed("converse", fields.get("anthropic_beta"))
    if refused:
        rest = {name: value for name, value in fields.items() if name != "anthropic_beta"}
        native.forced["additionalModelRequestFields"] = {**rest, **({"anthropic_beta": kept} if kept else {})}
    return [f"additionalModelRequestFields.anthropic_beta.{beta}" for beta in refused]


def _listed(surface: str, betas: Any) -> tuple[list[str], list[str]]:
    """A body's list of betas, split. Clients of Bedrock know its betas: those that no table has go to it."""
    if not isinstance(betas, list) or not all(isinstance(beta, str) for beta in betas):
        return [], []
    return without_refused(surface, betas)


_KEEPERS = {"messages": _messages, "invoke": _invoke, "converse": _converse}
