import pytest

from feederloop.hil.address import DeviceAddress
from feederloop.hil.profile import load_profile
from feederloop.simulators.errors import InputError


def test_the_three_forms() -> None:
    assert DeviceAddress.parse("tcp://10.0.0.5:1502") == DeviceAddress("tcp", "10.0.0.5", 1502)
    assert DeviceAddress.parse("tcp://[::1]:502").host == "::1"
    assert DeviceAddress.parse("tls://box.example") == DeviceAddress("tls", "box.example", 802)
    assert DeviceAddress.parse("rtu:///dev/ttyUSB0?baud=9600&parity=e&stop=2") == DeviceAddress(
        "rtu", "/dev/ttyUSB0", baud=9600, parity="E", stop_bits=2
    )


def test_the_profile_fills_in_what_is_left_out() -> None:
    assert DeviceAddress.parse("tcp://host", load_profile("evtec_bidipro_10")).port == 5020
    line = DeviceAddress.parse("rtu:///dev/ttyS1", load_profile("mennekes_amtron_compact_2s"))
    assert (line.baud, line.parity, line.stop_bits) == (57600, "N", 2)


@pytest.mark.parametrize("url", ["tcp://h:1", "tls://h:2", "rtu:///dev/x?baud=9600&parity=N&stop=1", "tcp://[::1]:502"])
def test_addresses_are_written_as_they_are_read(url: str) -> None:
    assert str(DeviceAddress.parse(url)) == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "10.0.0.5:502", "udp://h:1", "tcp://", "tcp://h:port", "tcp://h:70000", "tcp://h/path", "rtu://ttyUSB0"),
        *("rtu:///dev/x?parity=Q", "rtu:///dev/x?stop=3", "rtu:///dev/x?baud=fast", "rtu:///dev/x?speed=1"),
    ],
)
def test_others_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="url"):
        DeviceAddress.parse(url)
