"""Programs and libraries besides Python's that tests check ours with; a test that lacks one says so and is skipped."""

import ctypes.util
import shutil
from collections.abc import Callable

import pytest

PACKAGES: dict[str, Callable[[], object]] = {
    "mbpoll": lambda: shutil.which("mbpoll"),
    "socat": lambda: shutil.which("socat"),
    "chromium": lambda: shutil.which("chromium"),
    "libmodbus5": lambda: ctypes.util.find_library("modbus"),
}
"""Debian's name of each, and how to tell whether it is there."""


def missing() -> list[str]:
    """Return the packages that are not installed."""
    return [name for name, found in PACKAGES.items() if not found()]


def notice() -> str:
    """Return what is missing and how to come by it; empty when nothing is."""
    names = " ".join(missing())
    return f"tests that need them are skipped, for want of Debian packages: apt-get install {names}" if names else ""


def need(package: str) -> None:
    """Skip the test that calls this unless a package is installed."""
    if not PACKAGES[package]():
        pytest.skip(f"needs the Debian package {package}: apt-get install {package}")
