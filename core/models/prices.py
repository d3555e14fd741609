"""What an answer costs, exactly, from its token counts: amounts are whole picodollars (1e-12 USD).

The rows are in `core.models.price_rows`; a configuration's `prices:` stand before them. A model that neither knows
has no price, which is not a price of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any, Final

from core.models.price_rows import BEDROCK, VENDORS
from core.models.resolve import bare_id
from core.slotted import field, replace, slotted
from core.usage import Cost, Usage

PICO: Final = 10**12

# Clouds ask a tenth more where a Claude model (4.5 and later) must be served in one region or geography.
# https://aws.amazon.com/bedrock/pricing/
REGIONAL_FACTOR: Final = Fraction(11, 10)
_REGIONAL: Final = frozenset({"bedrock"})
_NEVER_REGIONAL = ("claude-3", "claude-2", "claude-instant", "claude-opus-4", "claude-opus-4-1", "claude-sonnet-4")

# Types of backend that sell at list prices, and the lists. What any other one asks is for the operator to say.
_LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("vendors",),
    "azure-openai": ("vendors",),
    "azure-openai-classic": ("vendors",),
    "anthropic": ("vendors",),
    "azure-foundry": ("vendors",),
    "gemini": ("vendors",),
    "openrouter": ("vendors",),
    "databricks": ("vendors",),
    "bedrock": ("bedrock", "vendors"),
    "demo": ("free",),
}


@slotted(frozen=True)
class LongContext:
    """Factors for the whole request once its prompt is longer than `above` tokens."""

    above: int
    input: Fraction
    output: Fraction


@slotted(frozen=True)
class Price:
    """Picodollars for one token of each kind. `tiers` are factors by service tier."""

    input: Fraction
    output: Fraction
    cache_read: Fraction
    cache_write_5m: Fraction
    cache_write_1h: Fraction
    long_context: LongContext | None = None
    tiers: Mapping[str, Fraction] = field(default_factory=dict)

    def times(self, factor: Fraction) -> Price:
        """This price with every part multiplied."""
        return replace(
            self,
            input=self.input * factor,
            output=self.output * factor,
            cache_read=self.cache_read * factor,
            cache_write_5m=self.cache_write_5m * factor,
            cache_write_1h=self.cache_write_1h * factor,
        )

    def dearest_input(self) -> Fraction:
        """What a prompt's token costs at most: none of it read from a cache, all of it written to the dearest."""
        return max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h)


@slotted(frozen=True)
class PriceList:
    """Prices by model. `overrides` (the configuration's) are looked up by "backend/model", then by model."""

    overrides: Mapping[str, Price] = field(default_factory=dict)

    def find(self, backend: str, provider: str, api_model: str) -> Price | None:
        """The price of `api_model` at `backend`, which is of type `provider`. None where nobody stated one."""
        own = self.overrides.get(f"{backend}/{api_model}") or self.overrides.get(api_model)
        return own or _listed(provider, api_model)


@cache
def _listed(provider: str, api_model: str) -> Price | None:
    name, vendor = bare_id(api_model)
    for price_list in _LISTS.get(provider, ()):
        rows = _rows(price_list)
        price = rows.get(api_model) or rows.get(f"{vendor}.{name}") or rows.get(name) or rows.get("*")
        if price is not None:
            regional = provider in _REGIONAL and vendor == "anthropic" and _is_regional(api_model, name)
            return price.times(REGIONAL_FACTOR) if regional else price
    return None


def _is_regional(api_model: str, name: str) -> bool:
    profile = api_model.rpartition("/")[2]
    if profile.startswith(("global.", "anthropic.")):
        return False
    return not name.startswith(_NEVER_REGIONAL[:3]) and name not in _NEVER_REGIONAL[3:]


@cache
def _rows(price_list: str) -> Mapping[str, Price]:
    if price_list == "free":
        return {"*": Price(*(Fraction(0),) * 5)}
    text = {"vendors": VENDORS, "bedrock": BEDROCK}[price_list]
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {words[0]: _read_row(words[1:]) for words in lines}


def _read_row(words: list[str]) -> Price:
    parts = dict(zip(("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"), words, strict=False))
    stated = {name: value for name, value in parts.items() if value != "-"}
    long_context = None
    if words[5] != "-":
        above, input_factor, output_factor = words[5].split(":")
        long_context = LongContext(int(above.removesuffix("k")) * 1000, Fraction(input_factor), Fraction(output_factor))
    tiers = {tier: Fraction(factor) for tier, _, factor in (word.partition("=") for word in words[6:]) if factor}
    return _price(stated, long_context, tiers)


def _price(parts: Mapping[str, Any], long_context: LongContext | None, tiers: Mapping[str, Fraction]) -> Price:
    """From USD for a million tokens, which is as many microdollars for one."""
    amounts = {name: Fraction(str(value)) * 1_000_000 for name, value in parts.items()}
    plain = amounts["input"]
    short = amounts.get("cache_write_5m", plain)
    return Price(
        plain, amounts["output"], amounts.get("cache_read", plain), short, amounts.get("cache_write_1h", short),
        long_context, tiers,
    )  # fmt: skip


def read_prices(section: Mapping[str, Any]) -> Mapping[str, Price]:
    """A configuration's `prices:`: by model, or by backend/model, USD for a million tokens.

    `input` and `output` must be there; `cache_read`, `cache_write_5m`, `cache_write_1h`, `long_context` (with `above`,
    `input`, `output`) and `tiers` may be. Raises ValueError that names the row.
    """
    return {str(name): _read_override(str(name), row) for name, row in section.items()}


def _read_override(name: str, row: Any) -> Price:
    try:
        long_context = row.get("long_context")
        tiers = {str(tier): Fraction(str(factor)) for tier, factor in (row.get("tiers") or {}).items()}
        parts = {key: value for key, value in row.items() if key not in ("long_context", "tiers")}
        long = long_context and LongContext(
            int(long_context["above"]),
            Fraction(str(long_context.get("input", 1))),
            Fraction(str(long_context.get("output", 1))),
        )
        unknown = set(parts) - {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h"}
        if unknown or any(Fraction(str(value)) < 0 for value in parts.values()):
            raise ValueError(name)
        return _price(parts, long or None, tiers)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):
        raise ValueError(
            f"prices.{name}: expected `input` and `output` in USD for a million tokens, and maybe `cache_read`, "
            "`cache_write_5m`, `cache_write_1h`, `long_context` (`above`, `input`, `output`), `tiers`"
        ) from None


def cost_of(usage: Usage, price: Price, tier: str = "") -> Cost:
    """What `usage` costs, by part. A tier without a factor of its own is the standard one."""
    factor = price.tiers.get(tier, Fraction(1))
    into, out = factor, factor
    long = price.long_context
    if long is not None and usage.total_input_tokens > long.above:
        into, out = factor * long.input, factor * long.output
    return Cost(
        input=_amount(usage.input_tokens, price.input * into),
        output=_amount(usage.output_tokens, price.output * out),
        cache_read=_amount(usage.cache_read_tokens, price.cache_read * into),
        cache_write_5m=_amount(usage.cache_write_5m_tokens, price.cache_write_5m * into),
        cache_write_1h=_amount(usage.cache_write_1h_tokens, price.cache_write_1h * into),
    )


def worst_case(price: Price, input_tokens: int, output_tokens: int, tier: str = "") -> int:
    """The most that so many tokens can cost, in picodollars."""
    factor = max(Fraction(1), price.tiers.get(tier, Fraction(1)))
    long = price.long_context
    into, out = factor, factor
    if long is not None and input_tokens > long.above:
        into, out = factor * long.input, factor * long.output
    return _amount(input_tokens, price.dearest_input() * into) + _amount(output_tokens, price.output * out)


def _amount(tokens: int | None, price: Fraction) -> int:
    return round((tokens or 0) * price)
