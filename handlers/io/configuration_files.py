"""Finds and reads the configuration document, YAML or JSON, and the `.env` file; finds references to secrets in them.

Paths are plain strings: every cold start comes by here, and `pathlib` would be a fortieth of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from core.configuration import ConfigurationError
from core.providers.table import PROVIDERS

DEFAULT_FILES = ("models.json", "models.yaml")
SECRET_SCHEMES = ("aws-secret://", "aws-ssm://", "azure-keyvault://")


def configuration_path(variables: Mapping[str, str], explicit: str | None = None) -> str | None:
    """The file to read: `--config`, else MODEL_CONFIG_PATH, else models.json (as a build compiles it) or
    models.yaml beside the program. None when there is none."""
    named = explicit or variables.get("MODEL_CONFIG_PATH")
    if named:
        return named
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for folder in (os.getcwd(), root):
        for name in DEFAULT_FILES:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return path
    return None


def read_document(named: str | os.PathLike[str]) -> dict[str, Any]:
    """The document at the path `named`. Raises ConfigurationError that names the file and, where known, the line."""
    path = os.fspath(named)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise ConfigurationError(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(path, "cannot be read: it is not UTF-8 text") from error
    document = _read_json(path, text) if path.endswith(".json") else _read_yaml(path, text)
    if not isinstance(document, dict):
        raise ConfigurationError(path, "expected a mapping at the top of the file")
    return document


def _read_json(path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path}, line {error.lineno}", f"not valid JSON: {error.msg}") from error


def _read_yaml(path: str, text: str) -> Any:
    import yaml  # noqa: PLC0415  # a built package has its configuration as JSON and never loads this

    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark is not None else path
        raise ConfigurationError(place, f"not valid YAML: {getattr(error, 'problem', error)}") from error


def read_env_file(path: str) -> dict[str, str]:
    """The variables of a `.env` file. An environment variable that is set wins over it: the caller merges."""
    from dotenv import dotenv_values  # noqa: PLC0415  # only `serve` and `check` read such files

    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except UnicodeDecodeError as error:
        raise ConfigurationError(path, "cannot be read: it is not UTF-8 text") from error


def merged_environment(env_name: str | None = None) -> dict[str, str]:
    """os.environ over `.env` (or `.env.<name>`) of the working folder."""
    path = f".env.{env_name}" if env_name else ".env"
    if env_name and not os.path.isfile(path):
        raise ConfigurationError(path, "the file does not exist")
    values = read_env_file(path) if os.path.isfile(path) else {}
    return {**values, **os.environ}


def with_secrets(value: Mapping[str, Any], variables: Mapping[str, str]) -> Mapping[str, Any]:
    """A configuration (or the variables) with its references replaced by what they stand for, except for backends'
    keys: those are resolved when they are used, so that they may change. Raises NotConfigured."""
    text = repr(value)
    if not any(scheme in text for scheme in SECRET_SCHEMES):
        return value
    keys = frozenset({"api_key", *(row.key_variable for row in PROVIDERS.values() if row.key_variable)})
    return cast("Mapping[str, Any]", import_module("handlers.io.secrets").resolve_all(value, variables, keys))
