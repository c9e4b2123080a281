import asyncio
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from debian_packages import need

from feederloop.hil.profile import load_profile
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.server import DeviceServer


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return asyncio.run


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[DeviceServer, SimulatedDevice, str]]]:
    """Serve one device of a profile; gives the server, the device and its URL."""
    servers: list[DeviceServer] = []

    def start(profile: str, **options: Any) -> tuple[DeviceServer, SimulatedDevice, str]:
        device = SimulatedDevice(load_profile(profile), **options)
        server = DeviceServer({"device": device})
        server.start()
        servers.append(server)
        return server, device, server.urls["device"]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def serial_pair(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two ends of a serial line."""
    need("socat")
    ends = tmp_path / "a", tmp_path / "b"
    arguments = [f"pty,raw,echo=0,link={end}" for end in ends]
    process = subprocess.Popen(["socat", *arguments])
    try:
        deadline = time.monotonic() + 5
        while not all(end.exists() for end in ends):
            assert process.poll() is None
            assert time.monotonic() < deadline, "socat made no serial line"
            time.sleep(0.01)
        yield str(ends[0]), str(ends[1])
    finally:
        process.terminate()
        process.wait(timeout=5)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An authority, a certificate of its for 127.0.0.1, and another authority that signed neither."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, authority_key = _certificate("Test bench authority", None)
    stranger, _ = _certificate("Somebody else", None)
    device, device_key = _certificate("device", (authority, authority_key))
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    paths = {}
    for name, certificate in (("authority", authority), ("stranger", stranger), ("device", device)):
        paths[name] = str(folder / f"{name}.pem")
        Path(paths[name]).write_bytes(certificate.public_bytes(Encoding.PEM))
    paths["key"] = str(folder / "device.key")
    Path(paths["key"]).write_bytes(device_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def _certificate(name: str, issuer: tuple[Any, Any] | None) -> tuple[Any, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer[1] if issuer else key
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=issuer is None,
        crl_sign=issuer is None,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(signer, hashes.SHA256()), key
