"""Authorities of one's own: what the chart sets is what our clients of S3, ClickHouse and a collector go by."""

from __future__ import annotations

import http.server
import os
import pathlib
import ssl
import subprocess
import sys
import threading
import typing
from collections.abc import Iterator

import pytest
from peers import pki

from . import conftest

L4 = conftest.SAMPLES[1]
PLACE = "/var/run/secrets/aftercall/trust/"
PROGRAM = """
import asyncio, contextlib, sys
import obstore
from opentelemetry import trace
from aftercall.cli import telemetry
from aftercall.consumers.publish import clickhouse, objects
from aftercall.contracts import sections, services

address = sys.argv[1]
store = services.Store(bucket="b", endpoint=address, access_key_id="a", secret_access_key="b")
with contextlib.suppress(Exception):
    obstore.get(objects.open_bucket(store, "bucket"), "recording")
with contextlib.suppress(Exception):
    asyncio.run(clickhouse.ClickHouse.configured(services.ClickHouse(url=address)).open())
with telemetry.telling(sections.Telemetry(otlp_endpoint=address), part="test"):
    trace.get_tracer("test").start_span("span").end()
"""


class Https:
    """A server that notes what it is asked, once TLS stands, and has nothing."""

    def __init__(self, folder: pathlib.Path) -> None:
        authority = pki.Authority(folder)
        certificate, key = authority.issue("server", hosts=["127.0.0.1"])
        self.authority, self.asked = authority.certificate, list[str]()
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked.append(self.path)
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *args: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"https://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def https(tmp_path: pathlib.Path) -> Iterator[Https]:
    """A server whose certificate only its own authority vouches for."""
    found = Https(tmp_path / "pki")
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def variables(objects: list[dict[str, typing.Any]], name: str) -> dict[str, str]:
    """Return what the chart sets for the relay that names a file of authorities, which its pod has."""
    (spec,) = [spec for of, spec in conftest.pods_of(objects) if of == name]
    (container,) = spec["containers"]
    found = {one["name"]: one["value"] for one in container["env"] if str(one.get("value")).startswith(PLACE)}
    if found:
        assert PLACE.rstrip("/") in {one["mountPath"] for one in container["volumeMounts"] if one["name"] == "trust"}
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["configMap", "secret", None])
def test_our_clients_trust_the_charts_authorities(
    render: conftest.Render, https: Https, tmp_path: pathlib.Path, kind: str | None
) -> None:
    """From a ConfigMap or a Secret; and without either they trust no such server."""
    key = {"configMap": "existingConfigMap", "secret": "existingSecret"}.get(kind or "")
    objects = render(L4, values={"trust": {key: "authorities", "caKey": "bundle.crt"}} if key else {})
    told = variables(objects, "Deployment calls-aftercall-relay")
    assert {PLACE + "bundle.crt"} == set(told.values()) or kind is None

    env = {**os.environ, **dict.fromkeys(told, str(https.authority))}
    subprocess.run([sys.executable, "-c", PROGRAM, https.address], env=env, check=True, capture_output=True, timeout=90)

    seen = {path.partition("?")[0] for path in https.asked}
    assert (set() if kind is None else {"/bucket/recording", "/", "/v1/traces"}) == seen


def test_whoever_reaches_s3_has_them(render: conftest.Render) -> None:
    """Consumers, API, relay, operator, the test and the setup."""
    values = {"trust": {"existingConfigMap": "authorities"}, "setup": {"enabled": True}}
    objects = render(L4, values=values)
    for name, spec in conftest.pods_of(objects):
        if "settings" in {one["name"] for one in spec["volumes"]}:
            volumes = {one["name"]: one for one in spec["volumes"]}
            assert "authorities" == volumes["trust"]["configMap"]["name"], name
            for container in (*spec["containers"], *spec.get("initContainers", ())):
                names = {one["name"] for one in container["env"]}
                assert {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"} <= names, name
