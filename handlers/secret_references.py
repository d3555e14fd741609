"""Finds references to secrets in what a gateway starts with, and loads what resolves them only where there are some."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from core.providers.table import PROVIDERS

SCHEMES = ("aws-secret://", "aws-ssm://", "azure-keyvault://")


def with_secrets(value: Mapping[str, Any], variables: Mapping[str, str]) -> Mapping[str, Any]:
    """A configuration (or the variables) with its references replaced by what they stand for, except for backends'
    keys: those are resolved when they are used, so that they may change. Raises NotConfigured."""
    text = repr(value)
    if not any(scheme in text for scheme in SCHEMES):
        return value
    keys = frozenset({"api_key", *(row.key_variable for row in PROVIDERS.values() if row.key_variable)})
    return cast("Mapping[str, Any]", import_module("handlers.io.secrets").resolve_all(value, variables, keys))
