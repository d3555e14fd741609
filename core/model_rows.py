"""One row of a list of models, in each client's shape: what is known of the model's abilities, limits and price.

What nobody knows is left out, or null where the client's SDK wants the member.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.configuration import Configuration
from core.errors import ClientFault
from core.models.facts import ModelFacts
from core.models.prices import Price, PriceList, read_prices
from core.models.resolve import facts_for
from core.routing.health import Health
from core.routing.registry import Candidate

# Lists of models carry a creation date that clients parse but nobody means: the epoch, not an invention.
_CREATED = 0
_CREATED_TEXT = "1970-01-01T00:00:00Z"
# Prices are kept in picodollars for a token, which is a millionth of USD for a million tokens.
_PER_MILLION = 1_000_000
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_THINKING = ("adaptive", "between_tools", "disabled", "enabled")
_ANTHROPIC_ONLY = ("batch", "code_execution")


def row_of(format_name: str, name: str, configuration: Configuration) -> dict[str, Any]:
    """The row of the model `name` for a client of `format_name`."""
    return _ROWS.get(format_name, _openai)(name, configuration)


def _first(name: str, configuration: Configuration) -> Candidate | None:
    """The candidate that is asked first: the row speaks of its model."""
    try:
        candidates = configuration.registry.resolve(name).candidates
    except ClientFault:
        return None
    return min(candidates, key=lambda candidate: candidate.priority, default=None)


def _facts(candidate: Candidate | None) -> ModelFacts:
    return facts_for(candidate.known_as if candidate is not None else "")


def _openai(name: str, configuration: Configuration) -> dict[str, Any]:
    candidate = _first(name, configuration)
    row: dict[str, Any] = {
        "id": name, "object": "model", "created": _CREATED,
        "owned_by": candidate.backend.name if candidate is not None else "skybridge",
    }  # fmt: skip
    facts = _facts(candidate)
    if facts.context_window is not None:
        row["context_window"] = facts.context_window
    if facts.max_output is not None:
        row["max_output_tokens"] = facts.max_output
    if candidate is not None and not facts.unknown:
        row["capabilities"] = {name: has for name, has in _abilities(facts).items() if name != "streaming"}
    price = _price(candidate, configuration)
    if price is not None:
        row["pricing"] = {
            "currency": "USD", "input_per_million": price.input / _PER_MILLION,
            "output_per_million": price.output / _PER_MILLION,
            "cache_read_per_million": price.cache_read / _PER_MILLION,
        }  # fmt: skip
    return row


def _price(candidate: Candidate | None, configuration: Configuration) -> Price | None:
    if candidate is None:
        return None
    prices, backend = PriceList(read_prices(configuration.prices)), candidate.backend
    return prices.find(backend.name, backend.provider.name, candidate.api_model, backend.region)


def _supported(value: bool) -> dict[str, bool]:
    return {"supported": value}


def _anthropic(name: str, configuration: Configuration) -> dict[str, Any]:
    candidate = _first(name, configuration)
    facts = _facts(candidate)
    known = candidate is not None and not facts.unknown
    return {
        "type": "model", "id": name, "display_name": name, "created_at": _CREATED_TEXT, "lifecycle": "active",
        "max_input_tokens": facts.context_window, "max_tokens": facts.max_output,
        "capabilities": _anthropic_capabilities(facts) if known else None,
    }  # fmt: skip


def _anthropic_capabilities(facts: ModelFacts) -> dict[str, Any]:
    """https://docs.anthropic.com/en/api/models-list: all keys are always there."""
    thinking = {kind: _supported(kind in facts.thinking) for kind in _THINKING}
    efforts = {level: _supported(level in facts.efforts) for level in _EFFORTS}
    return {
        **{name: _supported(False) for name in _ANTHROPIC_ONLY},
        "citations": _supported(facts.vendor == "anthropic" and facts.documents),
        "context_management": _supported(False),
        "effort": {"supported": bool(facts.efforts), **efforts},
        "image_input": _supported(facts.images),
        "pdf_input": _supported(facts.documents),
        "server_tools": {"supported": False, "code_execution": _supported(False), "web_search": _supported(False)},
        "structured_outputs": _supported(facts.structured_output),
        "thinking": {"supported": bool(facts.thinking), "types": thinking},
    }


def _gemini(name: str, configuration: Configuration) -> dict[str, Any]:
    facts = _facts(_first(name, configuration))
    row: dict[str, Any] = {
        "name": f"models/{name}", "displayName": name,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    }  # fmt: skip
    if facts.context_window is not None:
        row["inputTokenLimit"] = facts.context_window
    if facts.max_output is not None:
        row["outputTokenLimit"] = facts.max_output
    return row


_ROWS: dict[str, Callable[[str, Configuration], dict[str, Any]]] = {"messages": _anthropic, "generate_content": _gemini}


def facts_row(name: str, configuration: Configuration, health: Health) -> dict[str, Any]:
    """The row of `GET /api/v1/models`: abilities, limits in tokens, price in USD for a million tokens, and each backend
    with its state in this process. Abilities and price are those of the candidate that is asked first; what nobody
    knows is null. Raises ClientFault for a name that nobody serves."""
    from core.backend_report import state_of  # noqa: PLC0415  # the other lists do without

    candidates = sorted(configuration.registry.resolve(name).candidates, key=lambda candidate: candidate.priority)
    first = candidates[0] if candidates else None
    facts, price = _facts(first), _price(first, configuration)
    states = [state_of(candidate, health) for candidate in candidates]
    return {
        "id": name, "display_name": name, "capabilities": None if facts.unknown else _abilities(facts),
        "limits": {"context_tokens": facts.context_window, "max_output_tokens": facts.max_output},
        "price": None if price is None else _per_million(price),
        "backends": [
            {
                "backend": candidate.backend.name, "api_model": candidate.api_model,
                "region": candidate.backend.region if candidate.backend.provider.regional else None,
                "priority": candidate.priority, "state": state,
            }
            for candidate, state in zip(candidates, states, strict=True)
        ],
        "status": _status(states),
    }  # fmt: skip


def _status(states: list[str]) -> str:
    """Available while the candidate that is asked first is well; degraded while any other one is."""
    if "ok" not in states:
        return "unavailable"
    return "available" if states[0] == "ok" else "degraded"


def _abilities(facts: ModelFacts) -> dict[str, bool]:
    return {
        "streaming": True, "tools": facts.tools, "images": facts.images, "documents": facts.documents,
        "audio": facts.audio, "structured_output": facts.structured_output,
        "reasoning": bool(facts.reasoning_model or facts.thinking),
    }  # fmt: skip


def _per_million(price: Price) -> dict[str, float]:
    return {
        "input": price.input / _PER_MILLION, "output": price.output / _PER_MILLION,
        "cache_read": price.cache_read / _PER_MILLION, "cache_write": price.cache_write_5m / _PER_MILLION,
    }  # fmt: skip
