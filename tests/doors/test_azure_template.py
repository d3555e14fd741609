"""infra/azure/main.bicep: parses, names nothing that is not there, and says what the gateway needs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pycep import BicepParser

from tests.doors.bicep import property_problems, resource_of, symbol_problems

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "azure"
TEXT = (FOLDER / "main.bicep").read_text()
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"

# A role's id: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "storageBlobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageTableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "monitoringMetricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "cognitiveServicesOpenAiUser": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
    "keyVaultSecretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
}
# What each role assignment is for: the only five things that the identity may do, and the one of the role at AWS.
ASSIGNED = {
    "mayReadPackages": ("storage", "storageBlobDataOwner"),
    "mayKeepState": ("storage", "storageTableDataContributor"),
    "mayReadSecrets": ("vault", "keyVaultSecretsUser"),
    "mayAskModels": ("openAi", "cognitiveServicesOpenAiUser"),
    "mayPublishMetrics": ("insights", "monitoringMetricsPublisher"),
    "awsMayAskModels": ("openAi", "cognitiveServicesOpenAiUser"),
}

# What is wrong, the text in the file, and what it is replaced by.
MISTAKES = {
    "no bicep": ("resource identity '", "resource identity "),
    "misspelt plan": ("serverFarmId:", "serverFarmIdd:"),
    "misspelt concurrency": ("perInstanceConcurrency:", "perInstanceConcurency:"),
    "misspelt shared keys": ("allowSharedKeyAccess:", "allowSharedKeysAccess:"),
    "misspelt local keys": ("disableLocalAuth:", "disableLocalAuthentication:"),
    "misspelt authentication": ("unauthenticatedClientAction:", "unauthenticatedAction:"),
    "misspelt package place": ("userAssignedIdentityResourceId:", "userAssignedIdentityId:"),
    "misspelt purge protection": ("enablePurgeProtection:", "enablePurgesProtection:"),
    "misspelt secret": ("    value: gatewayKey", "    values: gatewayKey"),
    "misspelt telemetry": ("WorkspaceResourceId:", "WorkspaceResourceID:"),
    "misspelt retention": ("retentionInDays: logRetentionDays", "retentionDays: logRetentionDays"),
    "misspelt cap": ("dailyQuotaGb:", "dailyQuotaGB:"),
    "misspelt principal": ("principalType: 'ServicePrincipal'", "principalKind: 'ServicePrincipal'"),
    "misspelt mail": ("emailAddress: alertEmail", "email: alertEmail"),
    "misspelt metric": ("metricNamespace:", "metricNameSpace:"),
    "misspelt query": ("metricMeasureColumn:", "metricMeasuredColumn:"),
    "misspelt periods": ("minFailingPeriodsToAlert:", "minimumFailingPeriods:"),
    "misspelt notice": ("contactEmails: [", "contactMails: ["),
    "misspelt workbook": ("serializedData:", "serialisedData:"),
    "misspelt end": ("daysAfterModificationGreaterThan:", "daysAfterModifiedGreaterThan:"),
    "bodies kept unasked": ("/containers@2023-05-01' = if (bodyArchive)", "/containers@2023-05-01' = if (withEntra)"),
    "bodies sent unasked": ("bodyArchive ? '${storage", "withEntra ? '${storage"),
    "bodies kept for ever": ("'${bodies}/'\n", "'${packages}/'\n"),
    "bodies elsewhere": ("blob}${bodies}/skybridge'", "blob}${packages}/skybridge'"),
    "undefined symbol": ("serverFarmId: plan.id", "serverFarmId: plans.id"),
    "undefined in a string": ("'ClientId=${identity.", "'ClientId=${identities."),
    "undefined function": ("guid(vault.id", "uuid(vault.id"),
    "shared keys": ("allowSharedKeyAccess: false", "allowSharedKeyAccess: true"),
    "account keys": ("disableLocalAuth: true", "disableLocalAuth: false"),
    "insights keys": ("DisableLocalAuth: true", "DisableLocalAuth: false"),
    "no name of its own": ("    customSubDomainName: 'ai-${unique}'\n", ""),
    "key in clear": ("'azure-keyvault://${vault.name}/gateway-key'", "gatewayKey"),
    "key readable": ("@secure()\n", ""),
    "key guessable": ("@minLength(16)\n", ""),
    "nobody asks": ("withEntra ? 'platform' : ''", "'platform'"),
    "entra of nobody": ("'entra' && !empty(entraClientId)", "'entra'"),
    "keys by default no more": ("param authentication string = 'keys'", "param authentication string = 'entra'"),
    "key by default": ("param gatewayKey string", "param gatewayKey string = 'sk-0123456789abcdef'"),
    "entra asks nobody": ("requireAuthentication: true", "requireAuthentication: false"),
    "another plan": ("name: 'FC1'", "name: 'Y1'"),
    "windows": ("reserved: true", "reserved: false"),
    "another Python": ("version: '3.13'", "version: '3.12'"),
    "one at once": ("perInstanceConcurrency: instanceConcurrency", "perInstanceConcurrency: 1"),
    "worker set twice": ("    SKYBRIDGE_AUTH:", "    FUNCTIONS_WORKER_RUNTIME: 'python'\n    SKYBRIDGE_AUTH:"),
    "another identity": ("AzureWebJobsStorage__clientId", "AzureWebJobsStorage__principalId"),
    "no store": ("'azure-table:${", "'${"),
    "plain http": ("httpsOnly: true", "httpsOnly: false"),
    "passwords": ("name: 'scm'\n  properties: {\n    allow: false", "name: 'scm'\n  properties: {\n    allow: true"),
    "role for all": ("  scope: vault\n", ""),
    "role of an owner": (ROLES["keyVaultSecretsUser"], "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"),
    "no purge protection": ("enablePurgeProtection: true", "enablePurgeProtection: false"),
    "misspelt audiences": ("    audiences: [", "    audience: ["),
    "undefined identity": ("parent: awsIdentity", "parent: awsIdentities"),
    "trusts another": ("subject: trustedAwsRoleArn", "subject: awsRoleArn"),
    "trusts whoever signs": ("issuer: trustedAwsIssuer", "issuer: trustedAwsRoleArn"),
    "for another audience": ("'api://AzureADTokenExchange'", "'api://skybridge'"),
    "trusts AWS unasked": ("federatedIdentityCredentials@2023-01-31' = if (fromAws) {",
                           "federatedIdentityCredentials@2023-01-31' = {"),
    "AWS as the gateway itself": ("principalId: awsIdentity.properties", "principalId: identity.properties"),
    "no role at AWS": ("    AWS_ROLE_ARN: awsRoleArn\n", ""),
    "no audience at AWS": ("    AZURE_FEDERATION_AUDIENCE: awsAudience\n", ""),
    "alert to nobody": ("        alertGroup.id\n", ""),
}


def text_of(value: Any) -> str:
    """Any parsed value as text to search in."""
    return value if isinstance(value, str) else json.dumps(value)


def problems(text: str) -> list[str]:
    try:
        document = BicepParser().parse(text=text)
    except Exception as fault:  # the parser's errors have no common class
        return [f"no Bicep: {fault}"]
    resources = {name: resource_of(row) for name, row in document["resources"].items()}
    found = symbol_problems(text) + list(property_problems(document))
    return found or [row for check in CHECKS for row in check(document, resources)]


def key_problems(document: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[str]:
    kinds = {row["type"] for row in document["parameters"]["gatewayKey"]["decorators"]}
    if not {"secure", "min_length"} <= kinds:
        yield f"the gateway's key is {kinds}"
    if document["parameters"]["gatewayKey"]["default"] is not None:
        yield "a deployment without a key of its own succeeds"
    if document["parameters"]["authentication"]["default"] != "keys":
        yield "keys are not asked for by default"
    gate = text_of(document["variables"]["withEntra"]["value"])
    if not all(name in gate for name in ('"and"', '"entra"', '"not"', '"entraClientId"')):
        yield f"Entra ID guards where {gate}"
    settings = text_of(resources["appSettings"])
    if "azure-keyvault://${vault.name}/gateway-key" not in settings:
        yield "the gateway's key is in the settings in clear"
    if '"SKYBRIDGE_AUTH": "platform"' in settings:
        yield "callers are let in by nobody"
    if resources["entra"]["properties"]["globalValidation"] != {
        "requireAuthentication": True,
        "unauthenticatedClientAction": "Return401",
    }:
        yield "Entra ID lets strangers in"
    if resources["entra"]["name"] != "authsettingsV2":
        yield "authentication is set elsewhere"


def wanted_values(resources: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(what, found, wanted) of plain settings."""
    site = resources["app"]["properties"]
    storage = resources["storage"]["properties"]
    scale = site["functionAppConfig"]["scaleAndConcurrency"]
    yield "plan", resources["plan"]["sku"], {"name": "FC1", "tier": "FlexConsumption"}
    yield "Linux", resources["plan"]["properties"].get("reserved"), True
    yield "runtime", site["functionAppConfig"]["runtime"], {"name": "python", "version": "3.13"}
    yield "concurrency", scale["triggers"]["http"]["perInstanceConcurrency"], "instanceConcurrency"
    yield "package", site["functionAppConfig"]["deployment"]["storage"]["type"], "blobContainer"
    yield "https", (site["httpsOnly"], site["siteConfig"]["minTlsVersion"]), (True, "1.2")
    yield "FTP", (site["siteConfig"]["ftpsState"], resources["noFtp"]["properties"]), ("Disabled", {"allow": False})
    yield "passwords", resources["noPasswords"]["properties"], {"allow": False}
    yield "shared keys", (storage["allowSharedKeyAccess"], storage["allowBlobPublicAccess"]), (False, False)
    yield "TLS", storage["minimumTlsVersion"], "TLS1_2"
    yield "account keys", resources["openAi"]["properties"]["disableLocalAuth"], True
    yield "subdomain", "customSubDomainName" in resources["openAi"]["properties"], True
    yield "insights keys", resources["insights"]["properties"]["DisableLocalAuth"], True
    vault = resources["vault"]["properties"]
    yield "vault", (vault["enableRbacAuthorization"], vault["enablePurgeProtection"]), (True, True)


def value_problems(document: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[str]:
    for what, found, wanted in wanted_values(resources):
        if found != wanted:
            yield f"{what}: {found}"
    settings = text_of(resources["appSettings"])
    for name in ("accountName", "credential", "clientId"):
        if f"AzureWebJobsStorage__{name}" not in settings:
            yield f"the host's storage has no {name}"
    if "FUNCTIONS_WORKER_RUNTIME" in settings:
        yield "Flex Consumption takes no FUNCTIONS_WORKER_RUNTIME"
    for name in ("APPLICATIONINSIGHTS_CONNECTION_STRING", "Authorization=AAD", "azure-table:${storage."):
        if name not in settings:
            yield f"settings without {name}"
    alert = text_of(resources["slowAlert"]["properties"]["actions"])
    if "alertGroup" not in alert:
        yield "the alert tells nobody"


def role_problems(document: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[str]:
    given = document["variables"]["role"]["value"]
    if given != ROLES:
        yield f"roles: {given}"
    rows = {
        name: resources[name] for name, row in document["resources"].items() if row["type"].endswith("/roleAssignments")
    }
    if set(rows) != set(ASSIGNED):
        yield f"assignments: {set(rows)}"
    for name, row in rows.items():
        scope, role = ASSIGNED[name]
        if row.get("scope") != scope or role not in text_of(row["properties"]["roleDefinitionId"]):
            yield f"{name}: {row.get('scope')}"


def federation_problems(document: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[str]:
    """Both ways between Azure and AWS: whom a token of whose proves, and only where that was asked for."""
    trust = {"issuer": "trustedAwsIssuer", "subject": "trustedAwsRoleArn", "audiences": ["api://AzureADTokenExchange"]}
    credential = resources["awsCredential"]
    if (credential["properties"], credential["parent"]) != (trust, "awsIdentity"):
        yield f"trusted at AWS: {credential}"
    for name in ("awsIdentity", "awsCredential", "awsMayAskModels"):
        if "fromAws" not in text_of(document["resources"][name]["config"].get("condition", "")):
            yield f"{name} is made unasked"
    if "\"awsIdentity\"" not in text_of(resources["awsMayAskModels"]["properties"]["principalId"]):
        yield "the role at AWS is somebody else here"
    settings = text_of(resources["appSettings"])
    for name, value in (("AWS_ROLE_ARN", "awsRoleArn"), ("AZURE_FEDERATION_AUDIENCE", "awsAudience")):
        if f'"{name}": "{value}"' not in settings:
            yield f"settings without {name}"


def archive_problems(document: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[str]:
    """Bodies are kept where that was asked for only, in a container of their own, and not for ever."""
    for name in ("bodyContainer", "bodiesEnd"):
        if document["resources"][name]["config"].get("condition") != "bodyArchive":
            yield f"{name} is made unasked"
    address = "${storage.properties.primaryEndpoints.blob}${bodies}/skybridge"
    if f'"condition": "bodyArchive", "true_value": "{address}"' not in text_of(resources["appSettings"]):
        yield "bodies are sent unasked, or elsewhere"
    [rule] = resources["bodiesEnd"]["properties"]["policy"]["rules"]
    given = (rule["definition"]["filters"]["prefixMatch"], rule["definition"]["actions"]["baseBlob"]["delete"])
    if given != (["${bodies}/"], {"daysAfterModificationGreaterThan": "bodyArchiveDays"}):
        yield f"bodies end: {given}"


CHECKS = (key_problems, value_problems, role_problems, federation_problems, archive_problems)


def test_the_template_is_right() -> None:
    assert problems(TEXT) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str) -> None:
    text, wrong = MISTAKES[mistake]
    assert text in TEXT
    assert problems(TEXT.replace(text, wrong)) != []


def test_the_parameters_are_the_templates() -> None:
    given = (FOLDER / "main.bicepparam").read_text()
    assert "using './main.bicep'" in given
    declared = BicepParser().parse(text=TEXT)["parameters"]
    assert set(re.findall(r"^param (\w+) =", given, re.MULTILINE)) <= set(declared)
    without_value = {name for name, row in declared.items() if row["default"] is None}
    assert without_value == {"gatewayKey"}
    assert "param gatewayKey = readEnvironmentVariable('GATEWAY_KEY')" in given


def test_the_workbook_is_json_over_the_gateways_own_log() -> None:
    items = json.loads((FOLDER / "workbook.json").read_text())["items"]
    assert [item["type"] for item in items] == [3, 3, 3]
    assert "line.event == 'request'" in items[-1]["content"]["query"]


def test_azd_finds_the_template_and_the_app() -> None:
    document = yaml.safe_load((ROOT / "azure.yaml").read_text())
    assert (ROOT / document["infra"]["path"] / f"{document['infra']['module']}.bicep").is_file()
    [(service, row)] = document["services"].items()
    assert (row["host"], row["language"]) == ("function", "python")
    assert f"'azd-service-name': '{service}'" in TEXT
    assert (ROOT / row["project"] / "host.json").is_file()


def test_the_local_settings_start_the_gateway() -> None:
    settings = json.loads((FOLDER / "local.settings.example.json").read_text())
    assert settings["IsEncrypted"] is False
    assert len(settings["Values"]["SERVICE_API_KEY"]) >= 16
    assert "local.settings.json" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.slow
@pytest.mark.skipif(not CHECKOV.exists(), reason="no .venv-checkov: make test-all sets it up")
@pytest.mark.parametrize("mistake", [None, "plain http"])
def test_checkov_finds_nothing_that_is_not_explained(mistake: str | None, tmp_path: Path) -> None:
    (tmp_path / "main.bicep").write_text(TEXT.replace(*MISTAKES[mistake]) if mistake else TEXT)
    command = [str(CHECKOV), "--config-file", str(ROOT / "infra" / "checkov.yaml")]
    done = subprocess.run([*command, "--directory", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == (1 if mistake else 0), done.stdout + done.stderr
