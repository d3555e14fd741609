"""An expanded CloudFormation template as it is deployed with certain parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTHING = object()


def deployed(resources: Mapping[str, Any], true: set[str]) -> dict[str, Any]:
    """The resources that exist when exactly the conditions `true` hold, their `Fn::If` resolved."""
    return {
        name: {**row, "Properties": resolve(row.get("Properties", {}), true)}
        for name, row in resources.items()
        if "Condition" not in row or row["Condition"] in true
    }


def resolve(value: Any, true: set[str]) -> Any:
    """`value` with its `Fn::If` taken; what becomes AWS::NoValue is left out of its list or object."""
    if isinstance(value, list):
        return [each for each in (resolve(item, true) for item in value) if each is not NOTHING]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": "AWS::NoValue"}:
        return NOTHING
    if set(value) == {"Fn::If"}:
        condition, yes, no = value["Fn::If"]
        return resolve(yes if condition in true else no, true)
    resolved = {name: resolve(item, true) for name, item in value.items()}
    return {name: item for name, item in resolved.items() if item is not NOTHING}
