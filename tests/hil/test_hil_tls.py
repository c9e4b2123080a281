import asyncio
import socket
import ssl
from collections.abc import Iterator

import pytest

from feederloop.hil.address import DeviceAddress, TlsFiles
from feederloop.hil.profile import load_profile
from feederloop.hil.reading import Reading
from feederloop.hil.simulated.device import SimulatedDevice
from feederloop.hil.simulated.server import DeviceServer
from feederloop.hil.transport import open_transport
from feederloop.hil.wire import open_wire
from feederloop.simulators.errors import InputError

PROFILE = load_profile("sunspec_inverter_single_phase")


@pytest.fixture
def url(certificates: dict[str, str]) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["device"], certificates["key"])
    device = SimulatedDevice(PROFILE)
    with DeviceServer({"box": device}, addresses={"box": "tls://127.0.0.1:0"}, tls=context) as server:
        yield server.urls["box"]


def _frequency(url: str, ca: str | None, timeout_s: float = 5) -> Reading:
    async def read() -> Reading:
        transport = open_transport(PROFILE, url, tls=TlsFiles(ca=ca), timeout_s=timeout_s)
        reading = (await transport.read(["frequency"]))["frequency"]
        transport.close()
        # Goodbyes over TLS take a few rounds of the loop.
        await asyncio.sleep(0.05)
        return reading

    return asyncio.run(read())


def test_a_device_with_a_certificate_of_ones_own_authority_is_read(url: str, certificates: dict[str, str]) -> None:
    assert url.startswith("tls://127.0.0.1:")
    assert _frequency(url, certificates["authority"]).value == 50


def test_a_certificate_of_another_authority_is_refused_and_says_so(url: str, certificates: dict[str, str]) -> None:
    reading = _frequency(url, certificates["stranger"])
    assert not reading.good
    assert "certificate" in reading.reason


def test_the_systems_authorities_do_not_know_it(url: str) -> None:
    assert "certificate" in _frequency(url, None).reason


def test_a_certificate_for_another_host_is_refused(url: str, certificates: dict[str, str]) -> None:
    reading = _frequency(url.replace("127.0.0.1", "localhost"), certificates["authority"])
    assert not reading.good
    assert "localhost" in reading.reason


def test_an_unencrypted_device_is_no_tls_device(certificates: dict[str, str]) -> None:
    with DeviceServer({"box": SimulatedDevice(PROFILE)}) as server:
        reading = _frequency(server.urls["box"].replace("tcp", "tls"), certificates["authority"], timeout_s=0.2)
    assert not reading.good


def test_a_silent_device_is_let_go_of_without_its_goodbye(certificates: dict[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates["device"], certificates["key"])
    context.num_tickets = 0

    async def play(listening: socket.socket) -> bytes:
        def hear_after_greeting() -> bytes:
            secured = context.wrap_socket(listening.accept()[0], server_side=True)
            with socket.socket(fileno=secured.detach()) as plain:
                plain.settimeout(5)
                return plain.recv(260)

        heard = asyncio.create_task(asyncio.to_thread(hear_after_greeting))
        address = DeviceAddress.parse(f"tls://127.0.0.1:{listening.getsockname()[1]}")
        wire = await open_wire(address, timeout_s=5, tls=TlsFiles(ca=certificates["authority"]).client_context())
        wire.close()
        return await heard

    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert asyncio.run(play(listening)) == b"", "the connection is not closed"


def test_serving_tls_needs_a_certificate() -> None:
    server = DeviceServer({"box": SimulatedDevice(PROFILE)}, addresses={"box": "tls://127.0.0.1:0"})
    with pytest.raises(InputError, match="certificate"):
        server.start()
