"""The streaming door's settings: import path, mode, concurrency, randomness after a restore."""

from __future__ import annotations

import json
import random

import pytest

from handlers.aws_streaming import concurrency, log, renew_randomness, response_mode, set_import_path


def test_the_function_comes_before_its_layers_and_both_before_python() -> None:
    path = ["", "/var/lang/lib/python3.13", "/opt/python"]
    set_import_path(path, {"LAMBDA_TASK_ROOT": "/var/task"})
    assert path == [
        "/var/task",
        "/opt/python/lib/python3.13/site-packages",
        "/opt/python",
        "",
        "/var/lang/lib/python3.13",
        "/var/runtime",
    ]


def test_a_pythonpath_replaces_the_layers() -> None:
    path = ["/layer", "/var/lang/lib/python3.13"]
    set_import_path(path, {"PYTHONPATH": "/layer", "LAMBDA_RUNTIME_DIR": "/runtime"})
    assert path == ["/layer", "/var/lang/lib/python3.13", "/runtime"]


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "auto"),
        ({"SKYBRIDGE_RESPONSE_MODE": ""}, "auto"),
        ({"SKYBRIDGE_RESPONSE_MODE": "streaming"}, "streaming"),
        ({"SKYBRIDGE_RESPONSE_MODE": "streaming", "AWS_SAM_LOCAL": "true"}, "buffered"),
        ({"AWS_SAM_LOCAL": "false"}, "auto"),
    ],
)
def test_the_mode_is_the_operators_unless_sam_runs_it(environment: dict[str, str], mode: str) -> None:
    assert response_mode(environment) == mode


@pytest.mark.parametrize(("value", "count"), [("8", 8), ("1", 1), ("0", 1), ("", 1), ("many", 1), ("-3", 1)])
def test_the_concurrency_is_at_least_one(value: str, count: int) -> None:
    assert concurrency({"AWS_LAMBDA_MAX_CONCURRENCY": value}) == count


def test_a_log_line_is_json_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    log("error", "odd", value=ValueError("x"))
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["event"], line["message"], line["value"]) == ("ERROR", "odd", "odd", "x")
    assert line["location"].startswith("test_a_log_line_is_json_whatever_it_holds:")


def test_two_restores_of_one_snapshot_draw_different_numbers() -> None:
    state = random.getstate()
    renew_randomness()
    first = random.random()
    random.setstate(state)
    renew_randomness()
    assert random.random() != first
