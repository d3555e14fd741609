"""Bicep without its compiler: the parsed file, its symbols, and its properties against Azure's own model classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import azure.mgmt.applicationinsights.models as insights
import azure.mgmt.authorization.models as authorization
import azure.mgmt.cognitiveservices.models as cognitive
import azure.mgmt.consumption.models as consumption
import azure.mgmt.keyvault.models as keyvault
import azure.mgmt.loganalytics.models as loganalytics
import azure.mgmt.monitor.models as monitor
import azure.mgmt.msi.models as identities
import azure.mgmt.storage.models as storage
import azure.mgmt.web.models as web

# The resource types that an SDK describes. appsettings are the app's own words.
MODELS: Mapping[str, tuple[Any, str]] = {
    "Microsoft.Authorization/roleAssignments": (authorization, "RoleAssignmentCreateParameters"),
    "Microsoft.CognitiveServices/accounts": (cognitive, "Account"),
    "Microsoft.CognitiveServices/accounts/deployments": (cognitive, "Deployment"),
    "Microsoft.Consumption/budgets": (consumption, "Budget"),
    "Microsoft.Insights/actionGroups": (monitor, "ActionGroupResource"),
    "Microsoft.Insights/components": (insights, "ApplicationInsightsComponent"),
    "Microsoft.Insights/metricAlerts": (monitor, "MetricAlertResource"),
    "Microsoft.Insights/scheduledQueryRules": (monitor, "ScheduledQueryRuleResource"),
    "Microsoft.Insights/workbooks": (insights, "Workbook"),
    "Microsoft.KeyVault/vaults": (keyvault, "VaultCreateOrUpdateParameters"),
    "Microsoft.KeyVault/vaults/secrets": (keyvault, "SecretCreateOrUpdateParameters"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": (identities, "Identity"),
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials": (
        identities, "FederatedIdentityCredential",
    ),
    "Microsoft.OperationalInsights/workspaces": (loganalytics, "Workspace"),
    "Microsoft.Storage/storageAccounts": (storage, "StorageAccountCreateParameters"),
    "Microsoft.Storage/storageAccounts/blobServices": (storage, "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": (storage, "BlobContainer"),
    "Microsoft.Storage/storageAccounts/managementPolicies": (storage, "ManagementPolicy"),
    "Microsoft.Storage/storageAccounts/tableServices": (storage, "TableServiceProperties"),
    "Microsoft.Storage/storageAccounts/tableServices/tables": (storage, "Table"),
    "Microsoft.Web/serverfarms": (web, "AppServicePlan"),
    "Microsoft.Web/sites": (web, "Site"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (web, "CsmPublishingCredentialsPoliciesEntity"),
}
AUTHENTICATION = (web, "SiteAuthSettingsV2Properties")
# What Bicep itself puts on a resource.
OF_BICEP = {"name", "location", "tags", "parent", "scope", "dependsOn", "sku", "kind", "identity"}

FUNCTIONS = {
    "az", "empty", "guid", "loadTextContent", "resourceGroup", "subscription", "subscriptionResourceId", "union",
    "uniqueString", "utcNow",
}  # fmt: skip
WORDS = {
    "array", "bool", "false", "for", "if", "in", "int", "null", "object", "output", "param", "resource", "string",
    "targetScope", "true", "var",
}  # fmt: skip
_DECLARED = re.compile(r"^(?:param|var|resource|output)\s+(\w+)", re.MULTILINE)
_LOOPED = re.compile(r"\[for\s+(\w+)\s+in\b")


def symbol_problems(text: str) -> list[str]:
    """Names that are used and declared nowhere."""
    code = "".join(without_strings(re.sub(r"^@[^\n]*", "", text, flags=re.MULTILINE)))
    known = set(_DECLARED.findall(text)) | set(_LOOPED.findall(text)) | FUNCTIONS | WORDS
    used = re.findall(r"(?<![\w.])([A-Za-z_]\w*)(?!\w*\s*:)", code)
    # A condition's `a ? b : c` has its b before a colon, and is read as a key: c is checked, b is not.
    return sorted({name for name in used if name not in known})


def without_strings(text: str) -> Iterator[str]:
    """The code outside of strings and comments, and what is interpolated in strings."""
    for match in re.finditer(r"'(?:[^'\\\n]|\\.)*'|//[^\n]*|[^'/]+|.", text):
        piece = match.group()
        if piece.startswith("'"):
            yield from (f" ({inner}) " for inner in re.findall(r"\$\{([^}]*)\}", piece))
        elif not piece.startswith("//"):
            yield piece


def resource_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A resource's own object, whatever condition or loop is around it."""
    config: dict[str, Any] = row["config"]
    while "config" in config and "name" not in config:
        config = config["config"]
    return config


def property_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Properties that the resource's model class does not have."""
    for name, row in document["resources"].items():
        config = resource_of(row)
        kind = row["type"]
        if kind in MODELS:
            module, model = MODELS[kind]
            own = {field: value for field, value in config.items() if field not in OF_BICEP}
            yield from unknown(getattr(module, model), own, name, module)
        elif config.get("name") == "authsettingsV2":
            module, model = AUTHENTICATION
            yield from unknown(getattr(module, model), config["properties"], name, module)


def unknown(model: Any, value: Mapping[str, Any], where: str, module: Any) -> Iterator[str]:
    """Keys of `value` at any depth that are no properties of `model`."""
    model = kind_of(model, value, module)
    fields = fields_of(model)
    for key, inner in value.items():
        flat = {name.removeprefix(f"{key}."): kind for name, kind in fields.items() if name.startswith(f"{key}.")}
        if flat:  # some of the SDKs have the properties of `properties` on the model itself
            yield from known_members(flat, inner, f"{where}: {model.__name__}.{key}", module)
        else:
            yield from known_members(fields, {key: inner}, f"{where}: {model.__name__}", module)


def known_members(fields: Mapping[str, str], value: Mapping[str, Any], where: str, module: Any) -> Iterator[str]:
    """Keys of `value` that are not in `fields`, and those below them."""
    for written, inner in value.items():
        key = written.strip("'")
        if key not in fields:
            yield f"{where} has no {key}"
            continue
        below = model_in(fields[key], module)
        for each in values_of(fields[key], inner):
            if below is not None and isinstance(each, dict):
                yield from unknown(below, each, f"{where}.{key}", module)


def kind_of(model: Any, value: Mapping[str, Any], module: Any) -> Any:
    """The class among the model's subclasses that a member of `value` names ("odata.type")."""
    for names in getattr(model, "_subtype_map", {}).values():
        for name, subclass in names.items():
            if name in value.values():
                return getattr(module, subclass)
    return model


def values_of(written: str, value: Any) -> Iterator[Any]:
    """What is of the type's model: the value, a list's items, or the values of a mapping, whose keys are free. Of a
    condition, what either outcome has."""
    if isinstance(value, dict) and list(value) in (["operator"], ["function"]):
        if "operands" in next(iter(value.values())):
            for each in value["operator"]["operands"].values():
                yield from values_of(written, each)
    elif isinstance(value, dict) and ("dict[" in written.lower() or written.startswith("{")):
        yield from value.values()
    else:
        yield from value if isinstance(value, list) else [value]


def fields_of(model: Any) -> dict[str, str]:
    """A model's properties by their name on the wire, with their types as written. The SDKs have two ways."""
    if hasattr(model, "_attribute_map"):
        return {row["key"].replace("\\.", "."): row["type"] for row in model._attribute_map.values()}
    model({})  # the class knows its fields once one has been made
    written: dict[str, str] = {}
    for base in reversed(model.__mro__):
        written |= {name: str(kind) for name, kind in inspect.get_annotations(base).items()}
    return {field._rest_name: written[attribute] for attribute, field in model._attr_to_rest_field.items()}


def model_in(written: str, module: Any) -> Any:
    """The model class of a type, of its items or of its values; None for a plain value."""
    names = re.findall(r"\w+", written)
    found = getattr(module, names[-1] if "_models" not in names else names[names.index("_models") + 1], None)
    return found if hasattr(found, "_attribute_map") or hasattr(found, "_deserialize") else None
