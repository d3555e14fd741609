"""`skybridge check` and what `serve` refuses."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest

from core.configuration import ConfigurationError
from core.errors import NotConfigured
from handlers import cli, local
from handlers.composition import compose
from handlers.configuration_check import BackendRow, check_file
from handlers.io.configuration_files import configuration_path, merged_environment, read_document

ROOT = Path(__file__).resolve().parents[2]
GOOD = "backends:\n  d: { type: demo }\nmodels:\n  m: { backend: d }\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MODEL_CONFIG_PATH", "SERVICE_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.write_text(text, "utf-8")
    return path


def test_a_good_file_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    write("models.yaml", GOOD)
    assert cli.main(["check"]) == 0
    assert capsys.readouterr().out == f"The configuration is valid: {Path.cwd() / 'models.yaml'}.\n"


PROBLEMS = [
    ("backends:\n  d: { type: demo }\n  e:\n    type: nope\n", "line 4, backends.e.type", "expected one of"),
    ("backends:\n  d: { type: demo, timeout: -1 }\n", "line 2, backends.d.timeout", "greater than 0"),
    ("backends:\n  d: { type: demo, format: soap }\n", "backends.d.format", "messages"),
    (GOOD + "  n:\n    backend: zz\n", "line 6, models.n.backend", "expected a configured backend"),
    (GOOD + "  n:\n    candidates:\n      - { backend: d, priority: 0 }\n", "line 7, models.n.candidates.0.prio", "1"),
    (GOOD + "what: 1\n", "line 5, what", "unknown key; expected one of backends, models, allow_direct"),
    (GOOD + "model: {}\n", "line 5, model", "did you mean models?"),
    ("backends:\n  d:\n    type: demo\n    base_ulr: http://x\n", "line 4, backends.d.base_ulr", "mean base_url?"),
    (GOOD + "limits:\n  max_in_fligth: 3\n", "line 6, limits.max_in_fligth", "did you mean max_in_flight?"),
    (GOOD + "  n: { backend: d, api_modle: x }\n", "line 5, models.n.api_modle", "did you mean api_model?"),
    (GOOD + "  n:\n    candidates:\n      - { backend: d, wieght: 2 }\n", "candidates.0.wieght", "mean weight?"),
    (GOOD + "  n: { backend: d, policy: { contineu: true } }\n", "models.n.policy.contineu", "did you mean continue?"),
    (GOOD + "  n: { candidates: 3 }\n", "line 5, models.n.candidates", "expected a list; got 3"),
    (GOOD + "  n: { candidates: [] }\n", "line 5, models.n.candidates", "expected at least one; got list"),
    ("backends:\n  d: demo\n", "line 2, backends.d", "expected a mapping; got 'demo'"),
    ("backends:\n  d: { typ: demo }\n", "line 2, backends.d.type", "is missing"),
    (GOOD + "quotas: { evryone: {} }\n", "line 5, quotas.evryone", "unknown key; expected one of everyone, keys"),
    (GOOD + "quotas: { lease_seconds: soon }\n", "line 5, quotas.lease_seconds", "a number of seconds from 1 to"),
    (GOOD + "  n:\n    candidates: [{ backend: d, weight: 1, weight: 2 }]\n", "candidates.0.weight", "there twice"),
    (GOOD + "  m: { backend: d }\n", "models.m", "there twice"),
    ("backends:\n  b: { type: bedrock, guardrail: { id: x } }\n", "backends.b.guardrail.id", "of identifier"),
    (GOOD + "  n: 5\n", "models.n", "5"),
    ("backends:\n  d: { type: demo, api_key: 17 }\n", "backends.d.api_key", "int"),
    ("a: [\n", "line 2", "not valid YAML"),
    ("- 1\n", "models.yaml", "expected a mapping"),
]


@pytest.mark.parametrize(("text", "place", "expected"), PROBLEMS)
def test_problems_name_file_line_key_and_expectation(
    text: str, place: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("models.yaml", text)
    assert cli.main(["check"]) == 1
    shown = capsys.readouterr().err
    assert "models.yaml" in shown and place in shown and expected in shown


def test_text_in_another_encoding_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Path("models.yaml").write_bytes("models: {}  # Größe".encode("latin-1"))
    assert cli.main(["check"]) == 1
    assert "models.yaml: cannot be read: it is not UTF-8 text" in capsys.readouterr().err
    Path(".env").write_bytes("NAME=Größe".encode("latin-1"))
    assert cli.main(["check"]) == 1
    assert ".env: cannot be read: it is not UTF-8 text" in capsys.readouterr().err


def test_every_option_that_the_documents_name_is_known() -> None:
    options = "scope: s, audience: a, client_id: c, tenant_id: t, token_file: f, role_arn: r, regions: [eu-west-1]"
    bedrock = "guardrail: { identifier: g, version: 2, trace: on }, bedrock_service_tier: flex, performance: optimized"
    rows = f"  b: {{ type: bedrock, {options}, {bedrock}, request_metadata: {{ team: a }} }}\n"
    model = f"models:\n  m: {{ backend: b, {bedrock}, top_k: 5, answer_model: served, policy: {{ continue: true }} }}\n"
    assert check_file(write("models.yaml", f"backends:\n{rows}{model}"), {}) == []


def test_every_option_that_the_code_reads_is_known() -> None:
    read = r'\boptions(?:\.get\(|\[)"(\w+)"|_(?:optional|value)\(\s*backend, "(\w+)"'
    files = [ROOT / "core" / "configuration.py", ROOT / "handlers" / "pricing.py"]
    for folder in ("core/routing", "core/providers", "handlers/io"):
        files += (ROOT / folder).glob("*.py")
    found = {name for file in files for pair in re.findall(read, file.read_text("utf-8")) for name in pair if name}
    assert len(found) > 15
    assert found - {"implicit"} - set(BackendRow.model_fields) == set()


def test_what_the_environment_lacks_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    write("models.yaml", "backends:\n  c: { type: anthropic }\nmodels:\n  m: { backend: c }\n")
    assert cli.main(["check"]) == 0
    shown = capsys.readouterr().err
    assert shown.startswith("warning: backend c: ANTHROPIC_API_KEY not set in environment; requests to it are")


def test_values_of_variables_that_would_do_nothing_are_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("models.yaml", GOOD)
    for name, value in (("LOG_LEVEL", "WARNING"), ("SKYBRIDGE_BODY_LOG_PERSONAL", "redact")):
        monkeypatch.setenv(name, value)
    assert cli.main(["check"]) == 0
    assert capsys.readouterr().err == ""
    for name in ("LOG_LEVEL", "SKYBRIDGE_AUTH", "SKYBRIDGE_BODY_LOG_PERSONAL"):
        monkeypatch.setenv(name, "loud")
    assert cli.main(["check"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: LOG_LEVEL: expected debug or info or warning or error; got 'loud'",
        "warning: SKYBRIDGE_AUTH: expected platform; got 'loud'",
        "warning: SKYBRIDGE_BODY_LOG_PERSONAL: expected redact or off; got 'loud'",
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SKYBRIDGE_DEMO_PACE", "fast", "SKYBRIDGE_DEMO_PACE: expected a number; got 'fast'"),
        ("SKYBRIDGE_BODY_LOG", "/proc/nowhere", "SKYBRIDGE_BODY_LOG: the folder cannot be made: "),
    ],
)
def test_variables_that_cannot_be_used_are_named(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        compose({name: value, "LOG_LEVEL": "error"}, str(write("m.yaml", GOOD)), local=True)


def test_a_secret_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    write("models.json", json.dumps({"providers": [{"name": "a", "type": "x", "api_key": ["sk-secret"]}]}))
    assert cli.main(["check", "--config", "models.json"]) == 1
    shown = capsys.readouterr().err
    assert "sk-secret" not in shown and "providers.0.type" in shown


def test_router_json_and_broken_json(capsys: pytest.CaptureFixture[str]) -> None:
    write("r.json", json.dumps({"model_mapping": {}, "providers": [{"name": "a", "type": "openai", "api_key": "k"}]}))
    assert cli.main(["check", "--config", "r.json"]) == 0
    write("r.json", '{"a":\n oops}')
    assert cli.main(["check", "--config", "r.json"]) == 1
    assert "line 2" in capsys.readouterr().err


def test_files_that_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--config", "nowhere.yaml"]) == 1
    assert cli.main(["check", "--env", "nowhere"]) == 1
    shown = capsys.readouterr().err
    assert "nowhere.yaml" in shown and ".env.nowhere" in shown


def test_where_the_configuration_is_found() -> None:
    assert configuration_path({}, "x.yaml") == "x.yaml"
    assert configuration_path({"MODEL_CONFIG_PATH": "y.yaml"}) == "y.yaml"
    found = configuration_path({})
    assert found is not None and found.endswith("/models.yaml")
    write("models.json", "{}")
    assert configuration_path({}) == str(Path.cwd() / "models.json")


def test_env_files_and_the_environment_above_them(monkeypatch: pytest.MonkeyPatch) -> None:
    write(".env", "A=from-file\nB='quoted value'\nEMPTY\n")
    write(".env.staging", "A=staging\n")
    monkeypatch.setenv("B", "from-environment")
    merged = merged_environment()
    assert (merged["A"], merged["B"]) == ("from-file", "from-environment")
    assert merged_environment("staging")["A"] == "staging"


def test_a_public_address_needs_a_key(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    write("models.yaml", GOOD)
    served: list[tuple[str, int]] = []
    monkeypatch.setattr(local, "serve", lambda composition, host, port, grace: served.append((host, port)))
    assert cli.main(["serve", "--host", "0.0.0.0"]) == 1
    assert "SERVICE_API_KEY" in capsys.readouterr().err
    assert cli.main(["serve", "--port", "1234"]) == 0
    assert "open to this machine only" in capsys.readouterr().err
    monkeypatch.setenv("SERVICE_API_KEY", "k")
    assert cli.main(["serve", "--host", "0.0.0.0"]) == 0
    assert cli.main(["serve", "--host", "::1"]) == 0
    assert "Skybridge on http://[::1]:8000 (key required)" in capsys.readouterr().err
    assert served == [("127.0.0.1", 1234), ("0.0.0.0", 8000), ("::1", 8000)]


def test_serve_refuses_a_bad_file(capsys: pytest.CaptureFixture[str]) -> None:
    write("models.yaml", "backends:\n  d: { type: nope }\n")
    assert cli.main(["serve"]) == 1
    assert "expected one of" in capsys.readouterr().err


def test_clouds_need_keys_or_an_identity_in_front() -> None:
    path = str(write("m.yaml", GOOD))
    with pytest.raises(NotConfigured, match="SERVICE_API_KEY"):
        compose({}, path)
    assert compose({"SKYBRIDGE_AUTH": "platform"}, path).gateway.rules.open
    composition = compose({"SERVICE_API_KEY": " a , b,", "AWS_LAMBDA_RUNTIME_API": "x"}, path)
    assert composition.gateway.rules.keys == ("a", "b")
    assert composition.gateway.configuration.limits.max_body_bytes == 6 * 1024 * 1024


def test_a_wrong_file_is_named_at_run_time() -> None:
    with pytest.raises(ConfigurationError, match=r"m\.yaml: nope: unknown key"):
        compose({}, str(write("m.yaml", "nope: 1\n")), local=True)
    with pytest.raises(ConfigurationError, match="no configuration was found"):
        cli_path_none()
    assert check_file(write("n.yaml", GOOD), {}) == []
    assert read_document(write("empty.yaml", "")) == {}


def cli_path_none() -> None:
    from handlers.composition import load_configuration

    load_configuration(None, {})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--port", "abc"], "expected a port from 0 to 65535; got 'abc'"),
        (["serve", "--port", "99999"], "expected a port from 0 to 65535; got '99999'"),
        (["serve", "--grace", "-1"], "expected a number from 0 on; got '-1'"),
        (["serve", "--grace", "long"], "expected a number from 0 on; got 'long'"),
        (["keys", "rotate", "key_a", "--overlap-hours", "-3"], "expected a number from 0 on; got '-3'"),
    ],
)
def test_options_without_sense_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2 and words in capsys.readouterr().err


def test_a_port_in_use_and_an_address_of_nobody_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("models.yaml", GOOD)
    monkeypatch.setenv("SERVICE_API_KEY", "k")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert cli.main(["serve", "--port", str(taken.getsockname()[1])]) == 1
    assert "Address already in use. Choose others with --host and --port" in capsys.readouterr().err
    assert cli.main(["serve", "--host", "nobody.invalid", "--port", "0"]) == 1
    assert "cannot listen on nobody.invalid, port 0: " in capsys.readouterr().err


def test_an_interrupted_command_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("models.yaml", GOOD)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "serve", interrupted)
    assert cli.main(["serve"]) == cli.INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_serve_refuses_a_store_that_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    write("models.yaml", GOOD)
    write("text.db", "no database")
    for place in ("/proc/nowhere/x.db", "text.db", "."):
        assert cli.main(["serve", "--store", f"sqlite:{place}"]) == 1
        shown = capsys.readouterr().err
        assert f"the SQLite store {place}: " in shown and "SKYBRIDGE_STORE" in shown


def test_bench_runs_what_stands_beside_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "BENCH", tmp_path / "bench")
    assert cli.main(["bench"]) == 1
    assert "only a checkout of the source has it" in capsys.readouterr().err
    (tmp_path / "bench").mkdir()
    write("bench/run.py", "raise SystemExit(3)")
    assert cli.main(["bench"]) == 3


def test_a_pipe_that_nobody_reads_ends_a_command_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    write("models.yaml", GOOD)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        assert cli.main(["check"]) == cli.UNREAD


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_disk_that_is_full_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write("models.yaml", GOOD)
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert cli.main(["check"]) == 1
    assert capsys.readouterr().err == "skybridge: [Errno 28] No space left on device\n"


def test_a_process_may_be_started_without_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    write("models.yaml", GOOD)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["check"]) == 0
    sys.stdout.close()
    sys.stderr.close()
