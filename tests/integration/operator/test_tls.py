"""Reports over TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx2
import pytest
from peers import control_plane as plane

if TYPE_CHECKING:
    from conftest import Build


def test_reports_are_heard_over_tls(namespace_of: Build, control_plane: plane.ControlPlane) -> None:
    """With the certificate of the settings, and in the clear no more."""
    certificate, key = control_plane.api.authority.issue("reports", hosts=["127.0.0.1"])
    files = {"AFTERCALL_OPERATOR__CERTIFICATE_FILE": str(certificate), "AFTERCALL_OPERATOR__KEY_FILE": str(key)}
    space = namespace_of("calls", topics=False, settings=files)
    space.start()
    trust = ssl.create_default_context(cafile=str(control_plane.api.authority.certificate))

    with httpx2.Client(verify=trust, timeout=5, trust_env=False) as client:
        assert 401 == client.post(f"https://127.0.0.1:{space.reports}/v1/reports", content="{}").status_code
        with pytest.raises(httpx2.TransportError):
            client.post(f"http://127.0.0.1:{space.reports}/v1/reports", content="{}")
