"""The price table: exact amounts, and agreement with two tables that others keep."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from core.models.ids import bare_id
from core.models.price_rows import VENDORS
from core.models.prices import PriceList, cost_of, read_prices, worst_case
from core.usage import Cost, Usage, in_usd

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "recordings" / "prices"
needs_tables = pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded price tables are not here")

PRICES = PriceList()
PARTS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


def price(provider: str, model: str) -> Any:
    found = PRICES.find("b", provider, model)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("provider", "model", "usage", "usd"),
    [
        ("anthropic", "claude-sonnet-4-5-20250929", Usage(1000, 100), "0.0045"),
        ("anthropic", "claude-sonnet-4-5", Usage(10, 20, 3000, 400, 50), "0.00303"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", Usage(1000, 100), "0.00495"),
        ("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", Usage(1000, 100), "0.0045"),
        ("bedrock", "us.anthropic.claude-3-5-haiku-20241022-v1:0", Usage(1000, 100), "0.0012"),
        ("bedrock", "us.anthropic.claude-opus-4-1-20250805-v1:0", Usage(1000), "0.015"),
        ("bedrock", "us.amazon.nova-micro-v1:0", Usage(1, 1), "0.000000175"),
        ("bedrock", "us.deepseek.r1-v1:0", Usage(1_000_000), "1.35"),
        ("openai", "gpt-4o-2024-05-13", Usage(1_000_000), "5"),
        ("openai", "gpt-4o-2024-08-06", Usage(1_000_000), "2.5"),
        ("azure-openai", "gpt-5-mini", Usage(100, 10, 900), "0.0000675"),
        ("gemini", "gemini-2.5-pro", Usage(200_000, 1000), "0.26"),
        ("gemini", "gemini-2.5-pro", Usage(200_001, 1000), "0.5150025"),
        ("openrouter", "anthropic/claude-sonnet-4.5", Usage(1000, 100), "0.0045"),
        ("demo", "demo", Usage(1000, 100), "0"),
        ("openai", "gpt-5", Usage(), "0"),
    ],
)
def test_what_an_answer_costs(provider: str, model: str, usage: Usage, usd: str) -> None:
    assert cost_of(usage, price(provider, model)).usd == usd


def test_each_part_has_its_cost() -> None:
    usage = Usage(10, 20, 3000, 400, 50)
    assert cost_of(usage, price("anthropic", "claude-sonnet-4-5")) == Cost(
        input=30_000_000, output=300_000_000, cache_read=900_000_000, cache_write_5m=1_500_000_000,
        cache_write_1h=300_000_000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tier", "factor"), [("flex", "1/2"), ("priority", "2"), ("fast", "2"), ("batch", "1/2"), ("default", "1")]
)
def test_service_tiers(tier: str, factor: str) -> None:
    plain = cost_of(Usage(1000, 100), price("openai", "gpt-5")).total
    assert cost_of(Usage(1000, 100), price("openai", "gpt-5"), tier).total == plain * Fraction(factor)


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-99"), ("litellm", "gpt-5"), ("openai-compatible", "x"), ("openai", "gpt")]
)
def test_a_model_that_nobody_priced_has_no_price(provider: str, model: str) -> None:
    assert PRICES.find("b", provider, model) is None


def test_the_configuration_comes_first() -> None:
    section = {
        "gpt-5": {"input": 1, "output": 2},
        "b/gpt-5": {
            "input": 0.5, "output": "2.5", "cache_read": 0.1, "cache_write_1h": 4, "tiers": {"flex": 0.25},
            "long_context": {"above": 10, "input": 3},
        },
    }  # fmt: skip
    prices = PriceList(read_prices(section))
    here, elsewhere = prices.find("b", "litellm", "gpt-5"), prices.find("c", "openai", "gpt-5")
    assert here is not None and elsewhere is not None
    assert cost_of(Usage(1_000_000), elsewhere).usd == "1"
    assert cost_of(Usage(4, 4, 0, 1, 1), here).total == 2_000_000 + 10_000_000 + 500_000 + 4_000_000
    assert cost_of(Usage(11, 4), here, "flex").total == (11 * 3 * 500_000 + 4 * 2_500_000) // 4
    assert PriceList(read_prices({"m": {"input": 1, "output": 0}})).find("b", "openai", "m") is not None


@pytest.mark.parametrize(
    "row",
    [
        None, 3, {}, {"input": 1}, {"input": "x", "output": 1}, {"input": -1, "output": 1},
        {"input": 1, "output": 1, "cache": 1}, {"input": 1, "output": 1, "long_context": {"input": 2}},
        {"input": 1, "output": 1, "tiers": 3}, {"input": 1, "output": 1, "tiers": {"flex": "1/0"}},
        {"input": "", "output": 1},
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named(row: Any) -> None:
    with pytest.raises(ValueError, match=r"prices\.gpt-5: expected"):
        read_prices({"gpt-5": row})


@pytest.mark.parametrize("provider,model", [("anthropic", "claude-haiku-5-5"), ("openai", "gpt-5.6")])
@pytest.mark.parametrize("tier", ["", "flex", "priority", "fast"])
@pytest.mark.parametrize("tokens", [1, 99_999, 100_001, 300_000])
def test_no_answer_costs_more_than_its_worst_case(provider: str, model: str, tier: str, tokens: int) -> None:
    found = price(provider, model)
    worst = worst_case(found, tokens, 500, tier)
    for usage in (Usage(tokens, 500), Usage(0, 500, tokens), Usage(0, 500, 0, tokens), Usage(0, 500, 0, 0, tokens)):
        assert cost_of(usage, found, tier).total <= worst


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0"), (1, "0.000000000001"), (10**12, "1"), (25 * 10**11, "2.5"), (-(10**11), "-0.1")]
)
def test_picodollars_in_words(amount: int, text: str) -> None:
    assert in_usd(amount) == text


# --- the two tables ----------------------------------------------------------------------------------------

VENDOR_ROWS = [line.split()[0] for line in VENDORS.splitlines() if line and not line.startswith(("#", "ft:"))]

# Where LiteLLM's table says something else, and why ours stands.
LITELLM_DIFFERENCES = {
    ("claude-sonnet-4-5", "long"): "LiteLLM caps it at 200k tokens, where the price of longer prompts never applies",
}

# Where genai-prices says something else, and why ours stands.
_CUT = "prices were cut after genai-prices' edition, which does not know later models that LiteLLM's has"
GENAI_DIFFERENCES = {
    "claude-sonnet-5": "genai-prices announces the end of the introductory price; LiteLLM's later edition still has it",
    "gpt-5.6-sol": _CUT,
    "gpt-5.6-terra": _CUT,
    "gpt-5.6-luna": _CUT,
    "gemini-3.6-flash": _CUT,
}


@cache
def litellm() -> dict[str, Any]:
    text = (RECORDED / "litellm-1.109.1-model_prices.json").read_text("utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def litellm_row(model: str) -> dict[str, Any] | None:
    for name in (f"gemini/{model}", model, f"{model}-latest"):
        if name in litellm():
            return dict(litellm()[name])
    for name, row in litellm().items():
        if not name.startswith("anthropic.") or "20240620" in name:  # one region's price, for an id that never was
            continue
        if row.get("litellm_provider") in ("bedrock", "bedrock_converse") and bare_id(name)[0] == model:
            return dict(row)
    return None


@needs_tables
@pytest.mark.parametrize("model", VENDOR_ROWS)
def test_agreement_with_litellm(model: str) -> None:
    row = litellm_row(model)
    assert row is not None
    found = price(_provider_of(model), model)
    names = {
        "input": "input_cost_per_token",
        "output": "output_cost_per_token",
        "cache_read": "cache_read_input_token_cost",
        "cache_write_5m": "cache_creation_input_token_cost",
        "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    }
    for part, name in names.items():
        if row.get(name) is not None:
            assert float(getattr(found, part)) == pytest.approx(row[name] * 1e12), part
    suffixes = {tier: tier for tier in ("flex", "priority", "ultrafast")} | {"fast": "priority", "batch": "batches"}
    for tier, suffix in suffixes.items():
        stated = row.get(f"input_cost_per_token_{suffix}")
        if stated is not None:
            assert float(found.input * Fraction(*found.factors(1, tier)[0])) == pytest.approx(stated * 1e12), tier
    fast = (row.get("provider_specific_entry") or {}).get("fast")
    assert fast is None or Fraction(*found.factors(1, "fast")[0]) == fast
    above = "input_cost_per_token_above_"
    long = {key: value for key, value in row.items() if key.startswith(above) and key.endswith("tokens")}
    assert bool(long) == (found.long_context is not None) or (model, "long") in LITELLM_DIFFERENCES
    for key, value in long.items():
        assert found.long_context.above == int(key.split("_above_")[1].split("k_")[0]) * 1000
        assert float(found.input * Fraction(*found.long_context.input)) == pytest.approx(value * 1e12)


# The types of backend that LiteLLM's names for providers stand for.
SOLD_BY = {
    "anthropic": "anthropic", "openai": "openai", "gemini": "gemini", "azure": "azure-openai", "bedrock": "bedrock",
    "bedrock_converse": "bedrock", "databricks": "databricks",
}  # fmt: skip
_ZONES = "a deployment in a data zone costs more, and its name does not tell: set `prices`"
_REGIONS = "Azure's price depends on the region, which a deployment's name does not tell: ours is the global one"
# Rows of LiteLLM's table (patterns) whose price is another one than ours, and why ours stands.
PLACE_DIFFERENCES = {
    "azure/us/*": _ZONES,
    "azure/eu/*": _ZONES,
    "azure/apac/*": _ZONES,
    "azure/gpt-4-turbo*": _REGIONS,
    "azure/text-embedding-*": _REGIONS,
    "azure/gpt-5.?-pro*": "LiteLLM states a cached price that OpenAI does not offer for pro models",
    "anthropic.claude-3-7-sonnet-20240620*": "an id that never was, with one region's price",
    "bedrock/us-gov-east-1/meta.llama3-8b*": "LiteLLM has the output price of llama3-70b there",
    "azure/us-gov/*": _ZONES,
}
# Rows (patterns) that have no price here: nothing is billed for them until `prices` says what.
_OTHER_UNITS = "sound, pictures or searches are billed in units that a gateway of tokens does not see"
_ALIAS = "an alias whose model changes: its price cannot be told by its name"
_GONE = "withdrawn, or announced to be"
_TAILORED = "a fine-tuned or restricted model: what it costs is in its contract"
UNPRICED = {
    "*audio*": _OTHER_UNITS, "*search*": _OTHER_UNITS, "*image*": _OTHER_UNITS, "*tts*": _OTHER_UNITS,
    "*robotics*": _OTHER_UNITS, "*omni*": _OTHER_UNITS, "*computer-use*": _OTHER_UNITS,
    "chat-latest": _ALIAS, "azure/*chat-latest": _ALIAS, "gemini*-latest": _ALIAS,
    "*model-router*": _ALIAS, "gemini-exp-*": _ALIAS, "ft:gpt-4-*": _TAILORED, "*-cyber*": _TAILORED,
    "*daybreak*": _TAILORED, "*rosalind*": _TAILORED, "*-law": _TAILORED, "*gpt-3.5-turbo-*": _GONE,
    "gpt-4-*": _GONE, "*gpt-35-*": _GONE,
    "*gpt-4-*": _GONE, "*gpt-4.5*": _GONE, "*o1-mini*": _GONE, "*o1-preview*": _GONE, "*codex-mini*": _GONE,
    "azure/ada": _GONE, "azure/command-r-plus": _GONE, "azure/mistral-large*": _GONE, "*ai21.j2-*": _GONE,
    "*anthropic.claude-v*": _GONE, "*anthropic.claude-instant-v1": _GONE, "*gemma-2-*": _GONE,
    "gemini/gemini-embedding-2-preview": _GONE, "gemini/gemini-3.1-pro-preview-customtools": _ALIAS,
}  # fmt: skip


def sold() -> Iterator[tuple[str, str, str, str, dict[str, Any]]]:
    """LiteLLM's rows of models that answer or embed: its name, the type of backend, the model and the region."""
    for name, row in litellm().items():
        provider = SOLD_BY.get(row.get("litellm_provider", ""))
        if provider is None or row.get("mode") not in ("chat", "responses", "embedding", "completion"):
            continue
        if not row.get("input_cost_per_token") or "/claude_platform/" in name or "commitment" in name:
            continue
        place = re.match(r"bedrock/((?:us-gov|us|eu|ap|ca|sa)-[a-z]+-\d)/(.*)", name)
        model = place.group(2) if place else re.sub(r"^(?:azure|gemini|databricks|bedrock)/(?:invoke/)?", "", name)
        yield name, provider, model, place.group(1) if place else "us-east-1", row


def listed(name: str, table: Mapping[str, str]) -> str | None:
    return next((pattern for pattern in table if fnmatchcase(name, pattern)), None)


@needs_tables
def test_every_model_costs_the_same_in_every_place() -> None:
    """All that the backends of these types sell, in what LiteLLM states; each exception is in the lists above, and is
    one. A hundredth is let go: Databricks' units are not round, and Azure's prices are rounded."""
    used: set[str] = set()
    wrong = []
    compared = 0
    for name, provider, model, region, row in sold():
        found = PRICES.find("b", provider, model, region)
        if found is None:
            pattern = listed(name, UNPRICED)
            wrong += [] if pattern else [(name, "no price")]
            used |= {pattern or ""}
            continue
        compared += 1
        names = {"input": "input_cost_per_token", "output": "output_cost_per_token",
                 "cache_read": "cache_read_input_token_cost"}  # fmt: skip
        differs = [
            (name, part, float(getattr(found, part)) / 1e6, row[stated] * 1e6)
            for part, stated in names.items()
            if row.get(stated) and float(getattr(found, part)) != pytest.approx(row[stated] * 1e12, rel=0.01)
        ]
        pattern = listed(name, PLACE_DIFFERENCES) if differs else ""
        wrong += differs if pattern is None else []
        used |= {pattern or ""}
    assert not wrong
    assert compared > 600
    assert {*PLACE_DIFFERENCES, *UNPRICED} - used == set()


@pytest.mark.parametrize(
    ("provider", "model", "region", "usd"),
    [
        ("bedrock", "amazon.nova-pro-v1:0", "us-gov-west-1", "0.96"),
        ("bedrock", "eu.amazon.nova-pro-v1:0", "eu-central-1", "1.05"),
        ("bedrock", "us.openai.gpt-6-sol", "us-east-1", "2.2"),
        ("bedrock", "global.openai.gpt-6-sol", "us-east-1", "2"),
        ("bedrock", "deepseek.v3.2", "ap-south-1", "0.74"),
        ("bedrock", "us-gov.anthropic.claude-opus-5", "us-gov-east-1", "6"),
        ("bedrock", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-5", "eu-west-1", "5.5"),
        ("openai", "gpt-5.1-chat-latest", "", "1.25"),
        ("openai", "ft:gpt-4o-2024-08-06:an-org::abc123", "", "3.75"),
        ("databricks", "databricks-gpt-5-4", "", "2.5"),
        ("anthropic", "claude-opus-5", "us-gov-west-1", "5"),
    ],
)
def test_prices_by_place_and_spelling(provider: str, model: str, region: str, usd: str) -> None:
    found = PRICES.find("b", provider, model, region)
    assert found is not None and in_usd(found.input * 10**6) == usd


@needs_tables
def test_agreement_with_genai_prices() -> None:
    """Every vendor's model that both know, in what both state; every difference is in the list above, and is one."""
    differing = set()
    compared = 0
    for model, stated in _genai_prices():
        if bare_id(model)[0] not in VENDOR_ROWS or model != bare_id(model)[0]:
            continue
        compared += 1
        found = price(_provider_of(model), model)
        for part, name in (("input", "input_mtok"), ("output", "output_mtok"), ("cache_read", "cache_read_mtok"),
                           ("cache_write_5m", "cache_write_mtok")):  # fmt: skip
            amount = stated.get(name)
            if isinstance(amount, dict):
                amount = amount["base"]
            if amount is not None and float(getattr(found, part)) != pytest.approx(amount * 1e6):
                differing.add(model)
    assert compared >= 40
    assert differing == set(GENAI_DIFFERENCES)


def _genai_prices() -> Iterator[tuple[str, dict[str, Any]]]:
    for vendor in json.loads((RECORDED / "genai-prices-data.json").read_text("utf-8")):
        if vendor["id"] in ("anthropic", "openai", "google"):
            for model in vendor["models"]:
                prices = model["prices"]
                yield model["id"], prices[-1]["prices"] if isinstance(prices, list) else prices


def _provider_of(model: str) -> str:
    return "gemini" if model.startswith("gemini") else "anthropic" if model.startswith("claude") else "openai"
