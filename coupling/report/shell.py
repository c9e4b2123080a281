"""What any page of ours is made with: files that go into it, and a policy under which it loads nothing."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

REPORT = "feederloop.coupling.report"
ASSETS = files(REPORT)


@cache
def asset(name: str, package: str = REPORT) -> Markup:
    """Return a file of ours or of the vendored library, which is trusted and goes into the page as it is."""
    return Markup(files(package).joinpath(name).read_text(encoding="utf-8"))


@cache
def template(name: str, package: str = REPORT) -> Any:
    """Return a template that escapes everything that is not marked as safe."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files(package).joinpath(name).read_text(encoding="utf-8"))


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return a Content-Security-Policy under which only our own scripts run and nothing is fetched."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_digest, scripts))}",
            f"style-src {' '.join(map(_digest, styles))}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"
