"""Where a device is: `tcp://host:port`, `tls://host:port` or `rtu:///dev/ttyUSB0?baud=19200&parity=E&stop=1`.

Public: `DeviceAddress.parse(url, profile=None) -> DeviceAddress`, `TlsFiles`.
"""

import os
import ssl
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from feederloop.hil.profile import Profile, TransportFacts
from feederloop.simulators.errors import InputError

_FORMS = "tcp://host:port, tls://host:port, rtu:///dev/ttyUSB0?baud=19200&parity=E&stop=1"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files (PEM) for a TLS link.

    Attributes:
        ca: Authority that must have signed the device's certificate; without it, those that the system trusts.
        certificate: Our own certificate, where the device asks for one.
        key: Its private key, where that is not in the same file.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def client_context(self) -> ssl.SSLContext:
        """Return a context that checks the device's certificate and its host name."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.ca)
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """One link: a TCP or TLS connection, or a serial line. Several units may share it.

    Attributes:
        protocol: tcp, tls or rtu.
        host: Host name or address; for rtu the serial device.
        port: TCP port; 0 for rtu.
        baud: Serial speed, baud.
        parity: Serial parity.
        stop_bits: Serial stop bits.
    """

    protocol: Literal["tcp", "tls", "rtu"]
    host: str
    port: int = 0
    baud: int = 19200
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1

    @classmethod
    def parse(cls, url: str, profile: Profile | None = None) -> "DeviceAddress":
        """Read a URL; what it leaves out comes from the profile, else it is what Modbus devices usually have.

        Raises:
            InputError: It is none of the forms, or a number or letter in it is not allowed.
        """
        facts = profile.transport if profile else TransportFacts(protocols=("tcp",))
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InputError(str(error), key="url", value=url, allowed=_FORMS) from error
        if parts.scheme == "rtu" and parts.path and not parts.netloc:
            return cls._serial(url, parts.path, parts.query, facts)
        if parts.scheme == "tcp" and parts.hostname and not parts.path and not parts.query:
            return cls("tcp", parts.hostname, facts.port if port is None else port)
        if parts.scheme == "tls" and parts.hostname and not parts.path and not parts.query:
            return cls("tls", parts.hostname, 802 if port is None else port)
        raise InputError("not the address of a device", key="url", value=url, allowed=_FORMS)

    @classmethod
    def _serial(cls, url: str, path: str, query: str, facts: TransportFacts) -> "DeviceAddress":
        given = {key: values[-1] for key, values in parse_qs(query).items()}
        unknown = sorted(set(given) - {"baud", "parity", "stop"})
        parity, stop = given.get("parity", facts.parity).upper(), given.get("stop", str(facts.stop_bits))
        baud = given.get("baud", str(facts.baud))
        if unknown or parity not in ("N", "E", "O") or stop not in ("1", "2") or not baud.isdecimal():
            raise InputError(
                "not a serial setting", key="url", value=url, allowed="baud=NUMBER, parity=N|E|O, stop=1|2"
            )
        letter: Literal["N", "E", "O"] = "E" if parity == "E" else "O" if parity == "O" else "N"
        return cls("rtu", path, baud=int(baud), parity=letter, stop_bits=2 if stop == "2" else 1)

    @property
    def line(self) -> str:
        """What leads to the same connection or serial line, by whatever name the port is called."""
        return os.path.realpath(self.host) if self.protocol == "rtu" else str(self)

    def __str__(self) -> str:
        if self.protocol == "rtu":
            return f"rtu://{self.host}?baud={self.baud}&parity={self.parity}&stop={self.stop_bits}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.protocol}://{host}:{self.port}"
