"""Run by the Python of .venv-aws: expands each template given as an argument, and lints what comes out.

Prints a JSON list of {"resources", "parameters", "findings"} in the order of the arguments. cfn-lint alone misses
mistakes in SAM's own properties (a wrong InvokeMode, say): only the CloudFormation that they become is checked.
What is named `*.unlinted.yaml` is expanded only, which is quicker. Templates of plain CloudFormation are only linted.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

# SAM wraps the paths of a conditional API in conditions that can no longer be false there.
EXPANSION_ONLY = {"W1028"}


def expand(path: str) -> dict[str, Any]:
    from samcli.yamlhelper import yaml_parse
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
    from samtranslator.translator.transform import transform

    document = yaml_parse(Path(path).read_text())
    if "Transform" not in document:
        return {"resources": document["Resources"], "parameters": document["Parameters"], "findings": lint(document)}
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam build` and `sam deploy` put the place of the uploaded package here.
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    document["Globals"]["Function"].pop("CodeUri", None)
    try:
        expanded: dict[str, Any] = transform(document, {}, ManagedPolicyLoader(None))
    except InvalidDocumentException as fault:
        return {"resources": {}, "findings": [str(fault.message)]}
    return {
        "resources": expanded["Resources"],
        "parameters": expanded["Parameters"],
        "findings": [] if path.endswith(".unlinted.yaml") else lint(expanded),
    }


def lint(document: dict[str, Any]) -> list[str]:
    from cfnlint.api import lint_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "expanded.json")
        path.write_text(json.dumps(document))
        return [f"{row.rule.id} {row.message}" for row in lint_file(path) if row.rule.id not in EXPANSION_ONLY]


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    sys.stdout.write(json.dumps([expand(path) for path in sys.argv[1:]]))
