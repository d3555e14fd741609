"""Table Storage without a key: a managed identity's token over https, which Azurite checks."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.ports import Charge, Hold, StoreFault, Taken
from handlers.io.clock import SystemClock, SystemRandom
from handlers.io.http_client import HttpTransport
from handlers.stores import Machine, open_store
from tests.backend_server import BackendServer, Script
from tests.stores import real_stores


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, made here."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.fromtimestamp(SystemClock().time(), datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_path, key_path


def token(audience: str) -> str:
    """As Entra issues them; Azurite's basic check reads times, issuer and audience, and no signature."""
    now = int(SystemClock().time())
    claims = {
        "aud": audience, "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/", "iat": now,
        "nbf": now, "exp": now + 3600,
    }  # fmt: skip
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (*parts, b"made"))


async def test_a_managed_identity_reaches_tables(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    tls = ssl.create_default_context(cafile=cert)
    options = ("--oauth", "basic", "--cert", str(cert), "--key", str(key))
    answers = [
        Script([json.dumps({"access_token": token(audience), "expires_on": "4000000000"}).encode()],
               headers={"content-type": "application/json"})
        for audience in ("https://storage.azure.com/", "https://elsewhere.example/")
    ]  # fmt: skip
    with real_stores.azurite(tmp_path, *options, tls=tls) as endpoint:
        async with BackendServer(answers) as identity:
            transport = HttpTransport(environment={}, tls=tls)
            variables = {"IDENTITY_ENDPOINT": f"{identity.url}/msi/token", "IDENTITY_HEADER": "made"}
            machine = Machine(variables, transport, SystemClock(), SystemRandom())
            store = open_store(f"azure-table:{endpoint}/keyless", machine)
            await store.prepare()
            hold = Hold("r1", (Charge("usd", 3, 5, None),), 4e9)
            assert await store.reserve(hold, 1.0) == Taken({"usd": 3})
            await store.settle([(hold, {"usd": 2})])
            assert await store.totals(["usd"], 1.0) == {"usd": 2}
            wrong = open_store(f"azure-table:{endpoint}/keyless", machine)
            with pytest.raises(StoreFault, match="403|401"):
                await wrong.read("keys", "a")
            await transport.aclose()
