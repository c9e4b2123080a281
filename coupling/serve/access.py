"""Where pages are served and who may see them: this machine by default, others with a token only."""

import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field

from feederloop.simulators.errors import InputError

LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
LEAST_TOKEN = 16
"""Characters of a token that somebody chose."""


@dataclass(frozen=True)
class Access:
    """Who may see and do what.

    Attributes:
        host: Address that is listened on.
        port: Port; none: `usual_port`, or any that is free where that is taken. 0: any that is free.
        chosen_token: What somebody stated; it is needed to see anything from another machine.
        usual_port: Port to try first where none is stated.
        option: What the command line calls these, for messages: `--live-` or `--`.
        token: What has to be known to change anything.

    Raises:
        InputError: Another machine could look in and there is no token, or it is a short one.
    """

    host: str = LOOPBACK
    port: int | None = None
    chosen_token: str | None = None
    usual_port: int = 8765
    option: str = "--"
    token: str = field(init=False)

    def __post_init__(self) -> None:
        name = f"{self.option}token"
        allowed = f"at least {LEAST_TOKEN} printable characters, e.g. {secrets.token_urlsafe(18)}"
        chosen = self.chosen_token
        if chosen is None and not self.is_loopback:
            message = "whoever reaches this address could see the run; it needs a token"
            wanted = f"{name} with {allowed}, or {LOOPBACK}"
            raise InputError(message, key=f"{self.option}host", value=self.host, allowed=wanted)
        if chosen is not None and (len(chosen) < LEAST_TOKEN or not chosen.isascii() or not chosen.isprintable()):
            raise InputError("this token is too easy to guess or to mistype", key=name, allowed=allowed)
        if self.port is not None and not 0 <= self.port <= 65535:
            raise InputError("not a port", key=f"{self.option}port", value=self.port, allowed="0 to 65535")
        object.__setattr__(self, "token", chosen or secrets.token_urlsafe(18))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def host_names(self) -> frozenset[str] | None:
        """Names by which a browser may have come here; none: any, as the token is asked for anyway."""
        return LOOPBACK_NAMES | {self.host} if self.is_loopback else None

    def may_see(self, token: str | None) -> bool:
        """Whether somebody with this token may look."""
        return self.is_loopback or self.may_act(token)

    def may_act(self, token: str | None) -> bool:
        """Whether somebody with this token may change anything; takes as long for any wrong token."""
        return hmac.compare_digest((token or "").encode(), self.token.encode())
