"""The configuration forms to a registry, and what their users are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.configuration import ConfigurationError, read_configuration
from core.errors import ClientFault
from core.routing.registry import Candidate, Registry
from tests.gateways import Bench
from tests.scripted import Play, refused

DEMO: dict[str, Any] = {"backends": {"d": {"type": "demo"}}}


def registry(document: dict[str, Any], **variables: str) -> Registry:
    return read_configuration(document, variables).registry


def only(found: Registry, name: str) -> Candidate:
    (candidate,) = found.resolve(name).candidates
    return candidate


def test_candidates_defaults_and_options() -> None:
    found = registry(
        {
            "backends": {
                "azure": {"type": "azure-openai", "base_url": "${URL}", "timeout": 30, "headers": {"X-Team": "a"}},
                "bedrock": {"type": "bedrock", "region": "eu-west-1"},
            },
            "models": {
                "gpt": {"backend": "azure", "api_model": "gpt-5", "reasoning_effort": "high"},
                "both": {
                    "candidates": [
                        {"backend": "bedrock", "api_model": "x", "priority": 1, "weight": 3},
                        {"backend": "azure", "priority": 2},
                    ],
                    "answer_model": "served",
                },
            },
        },
        URL="https://r.openai.azure.com/",
        AZURE_API_KEY="k",
    )
    gpt = only(found, "gpt")
    assert (gpt.api_model, gpt.defaults) == ("gpt-5", {"reasoning_effort": "high"})
    assert gpt.backend.base_url == "https://r.openai.azure.com"
    assert (gpt.backend.timeout, gpt.backend.headers, gpt.backend.missing) == (30.0, {"x-team": "a"}, None)
    route = found.resolve("both")
    assert route.answer_model == "served"
    assert [(item.backend.name, item.api_model, item.priority, item.weight) for item in route.candidates] == [
        ("bedrock", "x", 1, 3.0),
        ("azure", "both", 2, 1.0),
    ]
    assert route.candidates[0].backend.base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert found.names == ["gpt", "both"]


def test_variables_may_have_defaults_and_may_be_absent() -> None:
    document = {
        "backends": {"o": {"type": "openai-compatible", "base_url": "${HOST:-http://h}/v1", "api_key": "${KEY}"}},
        "models": {"m": {"backend": "o"}},
    }
    backend = only(registry(document), "m").backend
    assert (backend.base_url, backend.missing) == ("http://h/v1", "KEY not set in environment")
    backend = only(registry(document, KEY="k", HOST="http://g"), "m").backend
    assert (backend.base_url, backend.api_key, backend.missing) == ("http://g/v1", "k", None)


def test_nested_variables_are_expanded() -> None:
    document = {"backends": {"d": {"type": "demo", "headers": {"a": "${A}"}, "regions": ["${A}", 1]}}}
    backend = registry(document, A="x").backends["d"]
    assert backend.headers == {"a": "x"}
    assert backend.options["regions"] == ["x", 1]


def test_patterns_serve_names_that_clients_choose() -> None:
    any_name = {"backend": "d"}
    models = {"exact": any_name, "claude-*haiku*": {"backend": "d", "api_model": "small"}, "*": any_name}
    found = registry({**DEMO, "models": models})
    assert only(found, "claude-3-haiku-x").api_model == "small"
    assert only(found, "anything").api_model == "anything"
    assert only(found, "exact").api_model == "exact"


@pytest.mark.parametrize("odd", ["half a character \ud800", "line\nend", "nul\0"])
def test_names_that_no_url_can_hold_are_of_no_pattern(odd: str) -> None:
    found = registry({**DEMO, "allow_direct": True, "models": {"*": {"backend": "d"}}})
    for name in (odd, f"d/{odd}"):
        with pytest.raises(ClientFault, match="is not configured"):
            found.resolve(name)


def test_direct_names_only_when_allowed() -> None:
    found = registry({**DEMO, "allow_direct": True})
    assert only(found, "d/us.amazon.nova-pro-v1:0").api_model == "us.amazon.nova-pro-v1:0"
    for name in ("e/x", "d/", "d"):
        with pytest.raises(ClientFault):
            found.resolve(name)
    with pytest.raises(ClientFault, match="Model 'd/x' is not configured. Available models: none"):
        registry(DEMO).resolve("d/x")


def test_form_registry() -> None:
    """The registry form: the credentials are in the environment, `azure` speaks the Responses API."""
    document = {
        "models": {
            "gpt-high": {"backend": "azure", "api_model": "gpt-5", "reasoning_effort": "high", "summary_level": "auto",
                         "verbosity_level": "low", "truncation_strategy": "auto"},
            "own": {"backend": "azure", "api_model": "gpt-5", "deployment_name": "mine"},
            "claude": {"backend": "anthropic", "api_model": "claude-sonnet-4.5-20250514", "max_tokens": 8192},
        }
    }  # fmt: skip
    variables = {
        "AZURE_API_KEY": "a", "AZURE_BASE_URL": "https://r.openai.azure.com", "AZURE_DEPLOYMENT": "dep",
        "AZURE_API_VERSION": "2025-04-01-preview",
    }  # fmt: skip
    found = registry(document, **variables)
    gpt = only(found, "gpt-high")
    assert (gpt.api_model, gpt.backend.format, gpt.backend.api_version) == ("dep", "responses", "2025-04-01-preview")
    paths = gpt.backend.paths("responses")
    assert paths is not None and "api-version" in paths.generate
    assert only(found, "own").api_model == "mine"
    claude = only(found, "claude")
    assert claude.defaults == {"max_tokens": 8192}
    assert claude.backend.missing == "ANTHROPIC_API_KEY not set in environment"
    plain = only(registry(document, AZURE_API_KEY="a", AZURE_BASE_URL="r.example"), "gpt-high")
    assert (plain.api_model, plain.backend.base_url) == ("gpt-5", "https://r.example")


ROUTER: dict[str, Any] = {
    "model_mapping": {"gpt-4": ["first", "second"], "claude": ["opus"], "short": "s"},
    "providers": [
        {"name": "o2", "type": "openai", "api_key": "k", "base_url": "http://o2/v1", "priority": 3},
        {"name": "a", "type": "anthropic", "api_key": "${KEY}", "priority": 2},
        {"name": "o1", "type": "openai", "api_key": "k", "base_url": "http://o1/v1", "priority": 1},
    ],
}


def test_form_router_json() -> None:
    """The router JSON: by priority, one name for each provider of a format, never translated."""
    found = registry(ROUTER)
    route = found.resolve("gpt-4")
    assert not route.translate and (route.answer_model, route.policy.strategy) == ("served", "ordered")
    named = {item.backend.name: item.api_model for item in route.candidates}
    assert named == {"o1": "first", "a": "first", "o2": "second"}
    assert [item.backend.name for item in route.candidates] == ["o1", "a", "o2"]
    assert {item.api_model for item in found.resolve("claude").candidates} == {"opus"}
    assert {item.api_model for item in found.resolve("short").candidates} == {"s"}
    assert {item.api_model for item in found.resolve("not-mapped").candidates} == {"not-mapped"}
    assert found.backends["a"].missing == "KEY not set in environment"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"modls": {}}, "modls: unknown key"),
    ({"backends": []}, "backends: expected a mapping"),
    ({"backends": {"x": 3}}, "backends.x: expected a mapping"),
    ({"backends": {"x": {"type": "nope"}}}, "backends.x.type: expected one of openai"),
    ({"backends": {"x": {"type": "openai-compatible"}}}, "backends.x.base_url: a backend of type"),
    ({"models": []}, "models: expected a mapping"),
    ({"models": {"m": 3}}, "models.m: expected a mapping"),
    ({"models": {"m": {"backend": "zz"}}}, r"models.m.backend: expected a configured backend \(none\); got 'zz'"),
    ({**DEMO, "models": {"m": {"candidates": []}}}, "models.m.candidates: expected a list"),
    ({**DEMO, "models": {"m": {"candidates": [3]}}}, r"models.m.candidates\[0\]: expected a mapping"),
    ({**DEMO, "models": {"m": {"backend": "d", "answer_model": "x"}}}, "models.m.answer_model: expected `asked`"),
    ({"limits": {"max": 3}}, "limits: "),
    ({"providers": []}, "providers: expected a list"),
    ({"providers": [3]}, r"providers\[0\]: expected a mapping"),
    ({"providers": [{"name": "a", "type": "x"}]}, r"providers\[0\].type: expected `openai` or `anthropic`"),
    ({"providers": ROUTER["providers"][:1] * 2}, r"providers\[1\].name: expected a name of its own"),
    ({**ROUTER, "model_mapping": []}, "model_mapping: expected a mapping"),
    ({**ROUTER, "model_mapping": {"m": [3]}}, "model_mapping.m: expected a list of model names"),
]


@pytest.mark.parametrize(("document", "said"), WRONG)
def test_what_is_wrong_is_named(document: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_configuration(document, {})


def test_limits_and_messages() -> None:
    configuration = read_configuration({**DEMO, "limits": {"max_body_bytes": 5, "ping_seconds": 2.0}}, {})
    assert (configuration.limits.max_body_bytes, configuration.limits.ping_seconds) == (5, 2.0)
    assert str(ConfigurationError("", "all of it")) == "all of it"


def test_bedrock_takes_a_bearer_key_or_signs() -> None:
    document = {"models": {"m": {"backend": "bedrock", "api_model": "anthropic.claude-opus-5"}}}
    signed = only(registry(document, AWS_REGION="eu-central-1"), "m").backend
    assert (signed.auth, signed.region, signed.missing) == ("iam", "eu-central-1", None)
    bearer = only(registry(document, AWS_BEARER_TOKEN_BEDROCK="t"), "m").backend
    assert (bearer.auth, bearer.api_key) == ("bearer", "t")


def test_which_format_a_backend_is_asked_in() -> None:
    found = registry({"backends": {"b": {"type": "bedrock"}, "c": {"type": "bedrock", "format": "converse"},
                                   "o": {"type": "openai-compatible", "base_url": "http://h", "format": "messages"}}})
    backends = found.backends
    assert backends["b"].speaks("messages", "us.anthropic.claude-opus-5")
    assert not backends["b"].speaks("messages", "amazon.nova-pro-v1:0")
    assert backends["b"].richest_format("amazon.nova-pro-v1:0") == "converse"
    assert backends["b"].richest_format("openai.gpt-oss-120b-1:0") == "responses"
    assert not backends["c"].speaks("messages", "us.anthropic.claude-opus-5")
    assert backends["c"].richest_format("us.anthropic.claude-opus-5") == "converse"
    assert backends["o"].speaks("messages", "x")
    forced = backends["o"].paths("messages")
    assert forced is not None and forced.generate == "/messages"
    assert backends["o"].paths("responses") is None


def test_a_policy_is_read_and_its_keys_are_known() -> None:
    row = {"backend": "d", "policy": {"continue": True, "move_on": [400], "strategy": "cache_aware"}}
    policy = registry({**DEMO, "models": {"m": row}}).resolve("m").policy
    assert (policy.continue_, policy.move_on, policy.strategy) == (True, (400,), "cache_aware")
    with pytest.raises(ConfigurationError, match=r"models\.m\.policy\.retries: unknown key"):
        registry({**DEMO, "models": {"m": {"backend": "d", "policy": {"retries": 3}}}})


def test_a_backend_that_serves_a_model_in_no_format_is_asked_in_its_richest() -> None:
    from core.providers.table import Paths, Provider
    from core.routing.registry import Backend

    provider = Provider("x", "http://h", {"messages": Paths("/m", models="claude")}, "none")
    assert Backend("x", provider, "http://h", "none").richest_format("gpt") == "messages"


PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"


@pytest.mark.parametrize(
    ("row", "variables", "sent", "known_as"),
    [
        ({"backend": "azure", "api_model": "gpt-5", "deployment_name": "mine"}, {}, "mine", "gpt-5"),
        ({"backend": "azure", "api_model": "gpt-5"}, {"AZURE_DEPLOYMENT": "mine"}, "mine", "gpt-5"),
        ({"backend": "azure"}, {"AZURE_DEPLOYMENT": "gpt-5"}, "gpt-5", "gpt-5"),
        ({"backend": "azure", "deployment_name": "gpt-5"}, {}, "gpt-5", "gpt-5"),
        ({"backend": "bedrock", "api_model": "opus-4-7", "deployment_name": PROFILE}, {}, PROFILE, "opus-4-7"),
    ],
)
def test_a_deployment_is_known_by_its_model(
    row: dict[str, Any], variables: dict[str, str], sent: str, known_as: str
) -> None:
    (candidate,) = read_configuration({"models": {"m": row}}, variables).registry.resolve("m").candidates
    assert (candidate.api_model, candidate.known_as) == (sent, known_as)


async def test_what_a_deployment_takes_is_what_its_model_takes() -> None:
    row = {"backend": "b", "api_model": "gpt-5", "deployment_name": "mine"}
    backend = {"type": "azure-openai", "base_url": "http://azure", "api_key": "k"}
    bench = Bench({"backends": {"b": backend}, "models": {"m": row}}, [Play(connect=refused())])
    body = {"model": "m", "max_tokens": 9, "temperature": 0.5, "messages": [{"role": "user", "content": "Hi"}]}
    await bench.post("/v1/messages", json.dumps(body).encode())
    asked = json.loads(bench.transport.requests[0].body)
    assert asked["model"] == "mine" and "temperature" not in asked


@pytest.mark.parametrize(
    ("type_name", "tail"),
    [
        ("azure-openai", "/openai/v1/"), ("azure-openai", "/openai"), ("azure-foundry", "/anthropic/"),
        ("azure-foundry", "/anthropic/v1"), ("databricks", "/serving-endpoints"), ("azure-openai", ""),
        ("anthropic", "/v1"),
    ],
)  # fmt: skip
def test_a_base_url_as_the_vendors_page_prints_it(type_name: str, tail: str) -> None:
    """The SDKs for these take it with the beginning of the paths."""
    backend = {"type": type_name, "base_url": f"https://r.example{tail}", "api_key": "k"}
    read = read_configuration({"backends": {"b": backend}, "models": {"m": {"backend": "b"}}}, {})
    assert read.registry.backends["b"].base_url == "https://r.example"
