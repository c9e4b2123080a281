"""The address that a server listens on; there at once, so that a browser can come before the server is loaded."""

import socket

from feederloop.coupling.serve.access import Access
from feederloop.simulators.errors import InputError


class Listener:
    """Listens where `access` says; whoever comes before a `Server` answers waits, and is not refused.

    Args:
        access: Where, and to whom.

    Attributes:
        access: The same.
        socket: What is listened on.

    Raises:
        InputError: The port is taken, or the address is none of this machine's.
    """

    def __init__(self, access: Access) -> None:
        self.access, self.socket = access, _bound(access)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self.socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = self.access.host
        shown = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else host
        return f"http://{f'[{shown}]' if ':' in shown and '[' not in shown else shown}:{self.port}/"

    @property
    def url_to_act(self) -> str:
        """The same with the token, which browsers do not send along: it stands behind the #."""
        return f"{self.url}#token={self.access.token}"

    def close(self) -> None:
        """Listen no more."""
        self.socket.close()


def _bound(access: Access) -> socket.socket:
    try:
        family = socket.getaddrinfo(access.host or None, None, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise InputError("no such address", key=f"{access.option}host", value=access.host) from error
    ports = [access.usual_port, 0] if access.port is None else [access.port]
    for port in ports:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((access.host, port))
            listening.listen()  # whoever is quicker than the server waits, and is not refused
        except OSError as error:
            listening.close()
            reason = error.strerror or error
            if port == ports[-1]:
                message = f"cannot listen there: {reason}"
                key, value = f"{access.option}port", f"{access.host}:{port}"
                raise InputError(message, key=key, value=value, allowed="a free port, or 0 for any") from error
        else:
            listening.set_inheritable(False)
            return listening
    raise AssertionError("there is always a last port")
