"""What an answer costs, exactly, from its token counts: amounts are whole picodollars (1e-12 USD).

The rows are in `core.models.price_rows`; a configuration's `prices:` stand before them. A model that neither knows
has no price, which is not a price of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from core.models.ids import GEOGRAPHIES, bare_id
from core.models.price_rows import BEDROCK, BEDROCK_PLACES, DATABRICKS, VENDORS
from core.slotted import field, replace, slotted
from core.usage import Cost, Usage

# A factor as a fraction, so that every amount is exact: numerator and denominator.
type Ratio = tuple[int, int]

ONE: Final[Ratio] = (1, 1)

# Clouds ask a tenth more where a Claude model (4.5 and later) must be served in one region or geography, or one of
# OpenAI's in a geography; a government's regions ask a fifth more.
# https://aws.amazon.com/bedrock/pricing/
REGIONAL_FACTOR: Final[Ratio] = (11, 10)
GOVERNMENT_FACTOR: Final[Ratio] = (6, 5)
_GOVERNMENT: Final = "us-gov"
_TUNED: Final = "ft:"
_REGIONAL: Final = frozenset({"bedrock"})
_NEVER_REGIONAL: Final = frozenset({"claude-opus-4", "claude-opus-4-1", "claude-sonnet-4", "claude-mythos-preview"})
_NEVER_REGIONAL_PREFIXES: Final = ("claude-3", "claude-2", "claude-instant")

FREE: Final = "\n* 0 0 0 0 0 - -\n"

# Types of backend that sell at list prices, and the lists. What any other one asks is for the operator to say.
_LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": (VENDORS,),
    "azure-openai": (VENDORS,),
    "azure-openai-classic": (VENDORS,),
    "anthropic": (VENDORS,),
    "azure-foundry": (VENDORS,),
    "gemini": (VENDORS,),
    "openrouter": (VENDORS,),
    "databricks": (DATABRICKS, VENDORS),
    "bedrock": (BEDROCK, VENDORS),
    "demo": (FREE,),
}


@slotted(frozen=True)
class LongContext:
    """Factors for the whole request once its prompt is longer than `above` tokens."""

    above: int
    input: Ratio
    output: Ratio


@slotted(frozen=True)
class Price:
    """Picodollars for one token of each kind (which is USD for a million tokens, times a million). `tiers` are
    factors by service tier."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    long_context: LongContext | None = None
    tiers: Mapping[str, Ratio] = field(default_factory=dict)

    def times(self, factor: Ratio) -> Price:
        """This price with every part multiplied."""
        return replace(
            self,
            input=_amount(self.input, 1, factor),
            output=_amount(self.output, 1, factor),
            cache_read=_amount(self.cache_read, 1, factor),
            cache_write_5m=_amount(self.cache_write_5m, 1, factor),
            cache_write_1h=_amount(self.cache_write_1h, 1, factor),
        )

    def factors(self, input_tokens: int, tier: str) -> tuple[Ratio, Ratio]:
        """For a prompt of that length at that tier: what input and output are multiplied with."""
        if tier == "fast" and tier not in self.tiers:
            tier = "priority"  # OpenAI's word for it since July 2026: https://openai.com/api-fast-mode/
        factor, long = self.tiers.get(tier, ONE), self.long_context
        if long is None or input_tokens <= long.above:
            return factor, factor
        return _product(factor, long.input), _product(factor, long.output)

    def dearest_input(self) -> int:
        """What a prompt's token costs at most: none of it read from a cache, all of it written to the dearest."""
        return max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h)


@slotted(frozen=True)
class PriceList:
    """Prices by model. `overrides` (the configuration's) are looked up by "backend/model", then by model."""

    overrides: Mapping[str, Price] = field(default_factory=dict)

    def find(self, backend: str, provider: str, api_model: str, region: str = "") -> Price | None:
        """The price of `api_model` at `backend`, which is of type `provider` and in `region`. None where nobody stated
        one."""
        own = self.overrides.get(f"{backend}/{api_model}") or self.overrides.get(api_model)
        return own or _listed(provider, api_model, region if provider in _REGIONAL else "")


@cache
def _listed(provider: str, api_model: str, region: str) -> Price | None:
    placed = _placed(api_model, region) if provider in _REGIONAL else None
    if placed is not None:
        return placed
    for text in _LISTS.get(provider, ()):
        for words in _names(api_model):
            price = _row(text, words)
            if price is not None:
                return price.times(_place_factor(api_model, region)) if provider in _REGIONAL else price
    return None


def _placed(api_model: str, region: str) -> Price | None:
    """What a place asks that has a row of its own: a profile's geography, or the region."""
    name, vendor = bare_id(api_model)
    geography = _geography(api_model)
    place = f"{geography}." if geography else f"{region}/"
    found = (_row(BEDROCK_PLACES, place + words) for words in (api_model, f"{vendor}.{name}", name))
    return next((price for price in found if price is not None), None)


def _names(api_model: str) -> tuple[str, ...]:
    """What a list may call the model. A fine-tuned one (`ft:gpt-4o:org::id`) is dearer than that it was made from."""
    if api_model.startswith(_TUNED):
        return (_TUNED + bare_id(api_model.removeprefix(_TUNED).partition(":")[0])[0],)
    name, vendor = bare_id(api_model)
    return api_model, f"{vendor}.{name}", name, name.removesuffix("-latest"), "*"


def _geography(api_model: str) -> str:
    """An inference profile's; "" for a model that is asked where it is."""
    prefix, dot, _ = api_model.rpartition("/")[2].partition(".")
    return prefix if dot and prefix in GEOGRAPHIES else ""


def _place_factor(api_model: str, region: str) -> Ratio:
    name, vendor = bare_id(api_model)
    geography = _geography(api_model)
    if geography == _GOVERNMENT or (not geography and region.startswith(_GOVERNMENT)):
        return GOVERNMENT_FACTOR
    if vendor == "openai":
        regional = geography not in ("", "global") and not name.startswith("gpt-oss")
    else:
        regional = vendor == "anthropic" and _is_regional(api_model, name)
    return REGIONAL_FACTOR if regional else ONE


def _is_regional(api_model: str, name: str) -> bool:
    profile = api_model.rpartition("/")[2]
    if profile.startswith(("global.", "anthropic.")):
        return False
    return name not in _NEVER_REGIONAL and not name.startswith(_NEVER_REGIONAL_PREFIXES)


def _row(text: str, name: str) -> Price | None:
    """The row of that name. Looked for in the text: a process asks for a few rows, and reading all takes longer."""
    start = text.find(f"\n{name} ") + 1
    if not start:
        return None
    words = text[start : text.index("\n", start)].split()[1:]
    names = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    stated = {part: word for part, word in zip(names, words, strict=False) if word != "-"}
    long_context = None
    if words[5] != "-":
        above, into, out = words[5].split(":")
        long_context = LongContext(int(above.removesuffix("k")) * 1000, _ratio(into), _ratio(out))
    tiers = {tier: _ratio(factor) for tier, _, factor in (word.partition("=") for word in words[6:]) if factor}
    return _price(stated, long_context, tiers)


def _price(parts: Mapping[str, Any], long_context: LongContext | None, tiers: Mapping[str, Ratio]) -> Price:
    amounts = {name: _amount(1_000_000, 1, _ratio(str(value))) for name, value in parts.items()}
    plain = amounts["input"]
    short = amounts.get("cache_write_5m", plain)
    return Price(
        plain, amounts["output"], amounts.get("cache_read", plain), short, amounts.get("cache_write_1h", short),
        long_context, tiers,
    )  # fmt: skip


def _ratio(text: str) -> Ratio:
    """ "1.25" or "5/3" as a fraction. Raises ValueError for anything else, and for what is negative."""
    above, _, below = text.partition("/")
    whole, _, places = above.partition(".")
    ratio = int(whole + places), int(below or 1) * 10 ** len(places)
    if not (whole + places).isdigit() or ratio[1] <= 0:
        raise ValueError(text)
    return ratio


def read_prices(section: Mapping[str, Any]) -> Mapping[str, Price]:
    """A configuration's `prices:`: by model, or by backend/model, USD for a million tokens.

    `input` and `output` must be there; `cache_read`, `cache_write_5m`, `cache_write_1h`, `long_context` (with `above`,
    `input`, `output`) and `tiers` may be. Raises ValueError that names the row.
    """
    return {str(name): _read_override(str(name), row) for name, row in section.items()}


def _read_override(name: str, row: Any) -> Price:
    try:
        long = row.get("long_context")
        tiers = {str(tier): _ratio(str(factor)) for tier, factor in (row.get("tiers") or {}).items()}
        parts = {key: value for key, value in row.items() if key not in ("long_context", "tiers")}
        if set(parts) - {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h"}:
            raise ValueError(name)
        factors = [_ratio(str(long.get(part, 1))) for part in ("input", "output")] if long else []
        return _price(parts, LongContext(int(long["above"]), *factors) if long else None, tiers)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(
            f"prices.{name}: expected `input` and `output` in USD for a million tokens, and maybe `cache_read`, "
            "`cache_write_5m`, `cache_write_1h`, `long_context` (`above`, `input`, `output`), `tiers`"
        ) from None


def cost_of(usage: Usage, price: Price, tier: str = "") -> Cost:
    """What `usage` costs, by part. A tier without a factor of its own is the standard one."""
    into, out = price.factors(usage.total_input_tokens, tier)
    return Cost(
        input=_amount(usage.input_tokens, price.input, into),
        output=_amount(usage.output_tokens, price.output, out),
        cache_read=_amount(usage.cache_read_tokens, price.cache_read, into),
        cache_write_5m=_amount(usage.cache_write_5m_tokens, price.cache_write_5m, into),
        cache_write_1h=_amount(usage.cache_write_1h_tokens, price.cache_write_1h, into),
    )


def worst_case(price: Price, input_tokens: int, output_tokens: int, tier: str = "") -> int:
    """The most that so many tokens can cost, in picodollars; a cheaper tier may turn out not to have had room."""
    most, dearest = 0, price.dearest_input()
    for each in ("", tier) if tier else ("",):
        into, out = price.factors(input_tokens, each)
        most = max(most, _amount(input_tokens, dearest, into) + _amount(output_tokens, price.output, out))
    return most


def _amount(tokens: int | None, price: int, factor: Ratio) -> int:
    """The product, rounded to the nearest picodollar."""
    if not tokens:
        return 0
    numerator, denominator = factor
    return (tokens * price * numerator * 2 + denominator) // (2 * denominator)


def _product(first: Ratio, second: Ratio) -> Ratio:
    return first[0] * second[0], first[1] * second[1]
