"""What tests of the report share: what a browser would find in a page, and short runs of which there are reports."""

import base64
import json
from html.parser import HTMLParser

import numpy as np
import pytest

from feederloop.coupling.report import write_report
from feederloop.coupling.report.packing import GAP

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{7*7}}"
SECTIONS = {
    "uncoordinated": [
        "top", "map", "voltage", "loading", "unbalance", "prosumers", "bills", "feeder", "fleet", "about",
    ],
    "doe_lem": [
        "top", "map", "voltage", "loading", "unbalance", "envelopes", "prosumers", "market", "bills", "feeder", "fleet",
        "about",
    ],
}  # fmt: skip
"""By scheme the sections that the report of its run has."""


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.scripts, self.styles, self.text = [], [], [], ""
        self._within = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._within = (tag, dict(attrs)) if tag in ("script", "style") else None
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "style":
            self.styles.append("")

    def handle_endtag(self, tag):
        self._within = None

    def handle_data(self, data):
        if self._within is None:
            self.text += data
        elif self._within[0] == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        else:
            self.styles[-1] += data

    def with_(self, **wanted):
        """The attributes of all elements that have these."""
        return [
            a for _, a in self.elements if all(a.get(k.strip("_").replace("_", "-")) == v for k, v in wanted.items())
        ]

    @property
    def data(self):
        (found,) = [text for attrs, text in self.scripts if attrs.get("id") == "data"]
        return json.loads(found, parse_constant=lambda name: pytest.fail(f"{name} in the data"))

    @property
    def sections(self):
        return [attrs["id"] for tag, attrs in self.elements if tag == "section"]

    @property
    def charts(self):
        return [attrs["data-chart"] for _, attrs in self.elements if "data-chart" in attrs]


def read(folder):
    return Page(write_report(folder).read_text(encoding="utf-8"))


def numbers(packed):
    whole = np.frombuffer(base64.b64decode(packed["data"]), dtype="<i2")
    return np.where(whole == GAP, np.nan, whole * packed["scale"])


def change_status(folder, **changes):
    file = folder / "status.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
