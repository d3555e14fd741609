"""The form of one variable: PROXY_BACKEND, asked as Claude Code does, by Anthropic's SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from core.configuration import Configuration, ConfigurationError
from core.forms import chosen_configuration, implied_configuration
from core.forms.one_variable import CHOICES, read
from core.routing.registry import Candidate
from handlers import cli
from handlers.composition import find_configuration
from tests.backend_server import BackendServer
from tests.forms.backends import answer, failing
from tests.served import Served, served

HELLO: dict[str, Any] = {"max_tokens": 32, "messages": [{"role": "user", "content": "Hello"}]}
SECRET = "sk-secret-of-the-test"


def client(gateway: Served) -> anthropic.AsyncAnthropic:
    """Anthropic's SDK; use as a context manager, which closes its connections."""
    return anthropic.AsyncAnthropic(base_url=gateway.url, api_key="any", max_retries=0)


def variables_of(value: str, url: str) -> dict[str, str]:
    """What a user of `value` sets, with the backend at `url`."""
    return {
        "AZURE_DATABRICKS": {"DATABRICKS_HOST": url, "DATABRICKS_TOKEN": SECRET},
        "OPENROUTER": {"OPENROUTER_API_KEY": SECRET, "OPENROUTER_API_BASE": f"{url}/api/v1"},
        "LITELLM_OPENROUTER": {"OPENROUTER_API_KEY": SECRET, "OPENROUTER_API_BASE": f"{url}/api/v1"},
        "LITELLM_MESSAGES": {"OPENROUTER_API_KEY": SECRET, "LITELLM_BASE_URL": url},
    }[value] | {"PROXY_BACKEND": value}


REACHED = [
    ("AZURE_DATABRICKS", "claude-sonnet-4", "/serving-endpoints/anthropic/v1/messages", "databricks-claude-sonnet-4"),
    ("AZURE_DATABRICKS", "claude-3.7-sonnet", "/serving-endpoints/anthropic/v1/messages",
     "databricks-claude-3-7-sonnet"),
    ("AZURE_DATABRICKS", "big", "/serving-endpoints/anthropic/v1/messages", "databricks-claude-sonnet-4"),
    ("AZURE_DATABRICKS", "small", "/serving-endpoints/anthropic/v1/messages", "databricks-claude-3-7-sonnet"),
    ("OPENROUTER", "claude-sonnet-4", "/api/v1/messages", "anthropic/claude-sonnet-4"),
    ("OPENROUTER", "claude-3.7-sonnet", "/api/v1/messages", "anthropic/claude-3.7-sonnet"),
    ("OPENROUTER", "big", "/api/v1/messages", "anthropic/claude-sonnet-4"),
    ("OPENROUTER", "small", "/api/v1/messages", "anthropic/claude-3.7-sonnet"),
    ("LITELLM_OPENROUTER", "claude-sonnet-4", "/api/v1/chat/completions", "anthropic/claude-sonnet-4"),
    ("LITELLM_MESSAGES", "small", "/v1/messages", "openrouter/anthropic/claude-3.7-sonnet"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "model", "path", "served_model"), REACHED)
async def test_form_one_variable(tmp_path: Path, value: str, model: str, path: str, served_model: str) -> None:
    async with BackendServer(answer) as backend, served(tmp_path, None, variables_of(value, backend.url)) as gateway:
        async with client(gateway) as asking:
            whole = await asking.messages.create(model=model, **HELLO)
            async with asking.messages.stream(model=model, **HELLO) as stream:
                streamed = await stream.get_final_message()
        assert [block.text for block in whole.content if block.type == "text"] == ["Hi"]
        assert [block.text.strip() for block in streamed.content if block.type == "text"] == ["Hi"]
        assert (whole.model, whole.usage.output_tokens) == (model, 2)
        for received in backend.received:
            assert received.target == path
            assert received.json["model"] == served_model
            assert received.headers["authorization"] == f"Bearer {SECRET}"
        async with httpx.AsyncClient() as http:
            health = (await http.get(f"{gateway.url}/health")).json()
        assert health["active"] == value
        assert SECRET not in json.dumps(health)


async def test_form_one_variable_says_what_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines at the start and at each request, with the correlation id that the client gets; no secret."""
    async with BackendServer(answer) as backend:
        variables = variables_of("AZURE_DATABRICKS", backend.url) | {"LOG_LEVEL": "info"}
        async with served(tmp_path, None, variables) as gateway, client(gateway) as asking:
            raw = await asking.messages.with_raw_response.create(model="claude-3.7-sonnet", **HELLO)
    text = capsys.readouterr().err
    lines = [json.loads(line) for line in text.splitlines()]
    by_event = {line["event"]: line for line in lines}
    start = by_event["Active proxy backend configured"]
    assert (start["backend"], start["endpoint"]) == ("AZURE_DATABRICKS", "/v1/messages")
    routing = by_event["Azure Databricks main routing active"]
    assert routing["main_endpoint"] == "/v1/messages" and routing["workspace"] in backend.url
    asked = by_event["Processing message request"]
    assert (asked["model"], asked["backend"]) == ("claude-3.7-sonnet", "AZURE_DATABRICKS")
    assert asked["correlation_id"] == raw.headers["x-request-id"]
    assert by_event["Routing to Azure Databricks backend"]["model"] == "claude-3.7-sonnet"
    assert SECRET not in text


MISSING = [
    ({"PROXY_BACKEND": "AZURE_DATABRICKS"}, "Azure Databricks host and token must be configured", "DATABRICKS_TOKEN"),
    ({"PROXY_BACKEND": "AZURE_DATABRICKS", "DATABRICKS_TOKEN": "t"},
     "Azure Databricks host and token must be configured", "DATABRICKS_HOST"),
    ({"PROXY_BACKEND": "OPENROUTER"}, "OpenRouter API key must be configured", "OPENROUTER_API_KEY"),
    ({"PROXY_BACKEND": "LITELLM_OPENROUTER"}, "OpenRouter API key must be configured", "OPENROUTER_API_KEY"),
    ({"PROXY_BACKEND": "LITELLM_MESSAGES"}, "OpenRouter API key must be configured", "OPENROUTER_API_KEY"),
    ({"PROXY_BACKEND": "AZURE_OPENAI"}, "Azure OpenAI endpoint and key must be configured", "AZURE_API_KEY"),
    ({"PROXY_BACKEND": "ANTHROPIC_DIRECT"}, "Anthropic API key must be configured", "ANTHROPIC_API_KEY"),
    ({"PROXY_BACKEND": "GOOGLE_GEMINI"}, "Gemini API key must be configured", "GEMINI_API_KEY"),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "message", "name"), MISSING)
async def test_form_one_variable_missing_credential(
    tmp_path: Path, variables: dict[str, str], message: str, name: str
) -> None:
    async with served(tmp_path, None, variables) as gateway, client(gateway) as asking:
        with pytest.raises(anthropic.InternalServerError) as caught:
            await asking.messages.create(model="big", **HELLO)
        assert caught.value.status_code == 503
        assert message in str(caught.value) and name in str(caught.value)
        warnings = gateway.composition.gateway.configuration.warnings
        assert any("selected but missing configuration" in text for text in warnings)


def test_form_one_variable_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("PROXY_BACKEND", "INVALID")
    assert cli.main(["serve"]) == 1
    said = capsys.readouterr().err
    assert "Invalid PROXY_BACKEND value: INVALID. Must be one of: ['AZURE_DATABRICKS', 'OPENROUTER'" in said
    assert "'LITELLM_OPENROUTER', 'LITELLM_MESSAGES'" in said


def test_form_one_variable_refuses_before_anything_starts() -> None:
    with pytest.raises(ConfigurationError, match=r"Invalid PROXY_BACKEND value: NOPE\. Must be one of: \['AZURE"):
        chosen(PROXY_BACKEND="nope")


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        ({"DATABRICKS_ENABLED": "true", "BYPASS_LITELLM_ENABLED": "false"}, "AZURE_DATABRICKS"),
        ({"DATABRICKS_ENABLED": "false", "BYPASS_LITELLM_ENABLED": "true"}, "OPENROUTER"),
        ({"BYPASS_LITELLM_ENABLED": "false"}, "LITELLM_OPENROUTER"),
        ({"DATABRICKS_ENABLED": "false"}, "OPENROUTER"),
        ({"DATABRICKS_ENABLED": "true", "PROXY_BACKEND": "openrouter"}, "OPENROUTER"),
    ],
)
def test_form_one_variable_deprecated_flags(flags: dict[str, str], value: str) -> None:
    found = chosen(**flags)
    assert found.active == value
    deprecated = [text for text in found.warnings if "is deprecated" in text]
    assert len(deprecated) == len([name for name in flags if name != "PROXY_BACKEND"])
    assert all("PROXY_BACKEND" in text for text in deprecated)


def chosen(**variables: str) -> Configuration:
    found = chosen_configuration(variables)
    assert found is not None
    return found


def first(found: Configuration, model: str) -> Candidate:
    return found.registry.resolve(model).candidates[0]


async def test_form_one_variable_falls_back_to_openrouter(tmp_path: Path) -> None:
    async with BackendServer(answer) as spare, BackendServer(lambda received: failing(503)) as broken:
        variables = {
            **variables_of("AZURE_DATABRICKS", broken.url), "DATABRICKS_MAX_RETRIES": "0",
            "BYPASS_FALLBACK_ENABLED": "true", "OPENROUTER_API_KEY": "k", "OPENROUTER_API_BASE": f"{spare.url}/api/v1",
        }  # fmt: skip
        async with served(tmp_path, None, variables) as gateway, client(gateway) as asking:
            message = await asking.messages.create(model="small", **HELLO)
        assert message.usage.output_tokens == 2
        assert broken.received[0].json["model"] == "databricks-claude-3-7-sonnet"
        assert spare.received[0].json["model"] == "anthropic/claude-3.7-sonnet"


def test_form_one_variable_fallback_without_its_key() -> None:
    found = chosen(PROXY_BACKEND="AZURE_DATABRICKS", BYPASS_FALLBACK_ENABLED="true", DATABRICKS_HOST="h.x.y")
    assert any("OPENROUTER_API_KEY" in text for text in found.warnings)
    assert len(found.registry.resolve("big").candidates) == 1


def test_form_one_variable_times_and_hosts() -> None:
    found = chosen(
        PROXY_BACKEND="AZURE_DATABRICKS", DATABRICKS_HOST="adb-1234567890123456.7", DATABRICKS_TOKEN="t",
        DATABRICKS_TIMEOUT="30.0", DATABRICKS_MAX_RETRIES="3",
    )  # fmt: skip
    backend = found.registry.backends["databricks"]
    assert backend.base_url == "https://adb-1234567890123456.7.azuredatabricks.net"
    assert (backend.timeout, backend.max_retries) == (30.0, 3)
    found = chosen(PROXY_BACKEND="LITELLM_OPENROUTER", OPENROUTER_API_KEY="k", LITELLM_TIMEOUT="120")
    assert found.registry.backends["litellm"].timeout == 120.0
    assert found.registry.backends["litellm"].base_url == "https://openrouter.ai/api/v1"
    through = chosen(PROXY_BACKEND="LITELLM_OPENROUTER", OPENROUTER_API_KEY="k", LITELLM_BASE_URL="http://l:4001")
    assert through.registry.backends["litellm"].base_url == "http://l:4001"
    assert first(through, "big").api_model == "openrouter/anthropic/claude-sonnet-4"
    messages = chosen(PROXY_BACKEND="LITELLM_MESSAGES", OPENROUTER_API_KEY="k")
    assert messages.registry.backends["litellm"].base_url == "http://localhost:4001"


WRONG = [
    {"DATABRICKS_TIMEOUT": "soon"}, {"DATABRICKS_TIMEOUT": "0"}, {"DATABRICKS_MAX_RETRIES": "-1"},
    {"BYPASS_FALLBACK_ENABLED": "perhaps"},
]  # fmt: skip


@pytest.mark.parametrize("variables", WRONG)
def test_form_one_variable_names_a_wrong_value(variables: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(variables))):
        chosen(PROXY_BACKEND="AZURE_DATABRICKS", **variables)


NAMES = [
    ("AWS_BEDROCK", {"AWS_REGION": "eu-west-1"}, "claude-sonnet-4", "eu.anthropic.claude-sonnet-4-20250514-v1:0"),
    ("AWS_BEDROCK", {}, "claude-sonnet-4-5-20250929", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("AWS_BEDROCK", {}, "amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
    ("AZURE_OPENAI", {}, "big", "gpt-5"),
    ("AZURE_OPENAI", {}, "claude-haiku-4-5", "gpt-5-mini"),
    ("AZURE_OPENAI", {"AZURE_DEPLOYMENT": "mine"}, "small", "mine"),
    ("ANTHROPIC_DIRECT", {}, "claude-3.7-sonnet", "claude-3-7-sonnet-20250219"),
    ("ANTHROPIC_DIRECT", {}, "claude-opus-4-8", "claude-opus-4-8"),
    ("GOOGLE_GEMINI", {}, "claude-sonnet-4", "gemini-2.5-pro"),
    ("GOOGLE_GEMINI", {}, "gemini-3-pro", "gemini-3-pro"),
    ("OPENROUTER", {}, "claude-opus-4-1-20250805", "anthropic/claude-opus-4.1"),
    ("OPENROUTER", {}, "openai/gpt-5", "openai/gpt-5"),
    ("AZURE_DATABRICKS", {}, "claude-sonnet-4-5", "databricks-claude-sonnet-4-5"),
]


@pytest.mark.parametrize(("value", "variables", "model", "expected"), NAMES)
def test_form_one_variable_names(value: str, variables: dict[str, str], model: str, expected: str) -> None:
    found = chosen(PROXY_BACKEND=value, **variables)
    assert first(found, model).api_model == expected


def test_every_value_can_be_read() -> None:
    for value in CHOICES:
        assert read({"PROXY_BACKEND": value}).active == value


def test_which_form_of_configuration_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named file, then the variables, then a file that lies there, then a lone key."""
    monkeypatch.chdir(tmp_path)
    proxy = {"PROXY_BACKEND": "OPENROUTER", "OPENROUTER_API_KEY": "k"}
    demo = tmp_path / "models.yaml"
    demo.write_text("backends:\n  d: { type: demo }\nmodels:\n  m: { backend: d }\n", "utf-8")
    assert find_configuration(proxy, None)[0].active == "OPENROUTER"
    assert find_configuration(proxy, str(demo))[0].active == ""
    assert str(find_configuration({**proxy, "MODEL_CONFIG_PATH": str(demo)}, None)[1]) == str(demo)
    assert find_configuration({"OPENROUTER_API_KEY": "k"}, None)[0].active == "OPENROUTER"
    assert str(find_configuration({}, None)[1]) == str(demo)
    demo.write_text("backends:\n  o: { type: openai }\nmodels:\n  m: { backend: o }\n", "utf-8")
    assert str(find_configuration({"OPENROUTER_API_KEY": "k"}, None)[1]) == str(demo)
    assert chosen_configuration({}) is None and implied_configuration({}) is None
