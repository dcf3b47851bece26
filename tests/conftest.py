"""What holds for every test: unit tests reach no network, and what cannot run here is said aloud."""

from __future__ import annotations

import os
import pathlib
import socket

import hypothesis
import pytest
from peers import cache

# A slow machine is no failure; what a seed found is printed, so that it can be found again.
hypothesis.settings.register_profile("aftercall", deadline=None, print_blob=True)
hypothesis.settings.load_profile("aftercall")

_UNIT = pathlib.Path(__file__).parent / "unit"
_PROPERTIES = pathlib.Path(__file__).parent / "properties"


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections from unit tests and properties; the event loop's own pair stays."""
    if not any(request.path.is_relative_to(folder) for folder in (_UNIT, _PROPERTIES)):
        return

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a unit test tried to open a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """What needs a program that cannot be built here is skipped, aloud; with CI=true a skip is an error.

    What belongs to this machine's profile runs, or the build fails.
    """
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, cache.BuildError):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, str(call.excinfo.value))
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI=true: {report.longrepr[2]}"
    return report
