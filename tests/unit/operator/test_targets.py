"""Deployments and Ray Serve, read and scaled."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import httpx2
import pytest

from aftercall.contracts import pools
from aftercall.operator import failures, kube, targets, testing

ASKED = pools.RayServeTarget(service="dashboard", application="aftercall", deployment="speech")


class RayDashboard:
    """Answers as the Serve part of Ray 2.60's dashboard does."""

    def __init__(self, *, external: bool = True, status: int | None = None) -> None:
        self.target = 2
        self.states = ["RUNNING", "STARTING"]
        self.external = external
        self.status = status

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        if self.status is not None:
            return httpx2.Response(self.status, text="<html>")
        if request.method == "GET" and request.url.path == "/api/serve/applications/":
            return httpx2.Response(200, json={"applications": {"aftercall": self._application()}})
        assert request.url.path == "/api/v1/applications/aftercall/deployments/speech/scale"
        if not self.external:
            return httpx2.Response(412, json={"error": "external scaler disabled"})
        self.target = json.loads(request.content)["target_num_replicas"]
        return httpx2.Response(200, json={"message": "Scaling request received."})

    def _application(self) -> dict[str, Any]:
        replicas = [{"replica_id": str(at), "state": state} for at, state in enumerate(self.states)]
        deployment = {"name": "speech", "target_num_replicas": self.target, "replicas": replicas}
        return {"status": "RUNNING", "external_scaler_enabled": self.external, "deployments": {"speech": deployment}}


def ray(dashboard: RayDashboard, asked: pools.RayServeTarget = ASKED) -> targets.RayServe:
    """Return the target behind a dashboard."""
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(dashboard))
    return targets.RayServe(client, targets.ray_address(asked, "calls"), asked)


async def test_a_deployment_is_read_and_scaled() -> None:
    """In two requests: its number is written through `/scale` alone."""
    cluster = testing.FakeKubernetes()
    cluster.deployment("speech", 3, ready=1)
    target = targets.Deployment(cluster, "speech")

    seen = await target.read()
    await target.scale(5, seen)

    assert (3, 1, 3, {"app": "speech"}) == (seen.asked, seen.ready, seen.there, seen.labels)
    assert 5 == cluster.seen(kube.DEPLOYMENTS, "speech")["spec"]["replicas"]
    assert [("read", "deployments"), ("write", "deployments/scale")] == [
        (each.verb, each.what) for each in cluster.calls
    ]


async def test_what_was_changed_since_it_was_read_is_not_written() -> None:
    """Somebody else has scaled it meanwhile: the next look decides anew."""
    cluster = testing.FakeKubernetes()
    cluster.deployment("speech", 3)
    target = targets.Deployment(cluster, "speech")
    seen = await target.read()
    cluster.deployment("speech", 9)

    with pytest.raises(failures.ConflictError):
        await target.scale(5, seen)

    assert 9 == cluster.seen(kube.DEPLOYMENTS, "speech")["spec"]["replicas"]


async def test_ray_serve_is_read_and_scaled() -> None:
    """What answers are the replicas that run, and those that stop are leaving."""
    dashboard = RayDashboard()
    dashboard.states = ["RUNNING", "RUNNING", "STARTING", "STOPPING"]
    target = ray(dashboard)

    seen = await target.read()
    await target.scale(7, seen)

    assert (2, 2, 4, 1) == (seen.asked, seen.ready, seen.there, seen.leaving)
    assert 7 == dashboard.target


async def test_an_application_that_scales_itself_says_how_to_leave_it_to_us() -> None:
    """At the first reading, and where that has changed since, at writing."""
    target = ray(RayDashboard(external=False))

    with pytest.raises(failures.RefusedError, match="external_scaler_enabled: true"):
        await target.read()
    with pytest.raises(failures.RefusedError, match="external_scaler_enabled: true"):
        await target.scale(3, targets.Seen(1, 1, 1))


async def test_a_dashboard_that_wants_a_token_gets_it_from_a_file(tmp_path: pathlib.Path) -> None:
    """Read for each request; without it the setting is named."""
    file, dashboard = tmp_path / "token", RayDashboard()

    def guarded(request: httpx2.Request) -> httpx2.Response:
        is_known = request.headers.get("authorization") == "Bearer secret"
        return dashboard(request) if is_known else httpx2.Response(401, text="Unauthorized")

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(guarded))
    target = targets.RayServe(client, "http://dashboard", ASKED, token_file=file)

    with pytest.raises(failures.UnavailableError, match="ray_token_file"):
        await target.read()
    file.write_text("old")
    with pytest.raises(failures.ForbiddenError, match=r"operator\.ray_token_file"):
        await target.read()
    file.write_text("secret\n")
    assert 2 == (await target.read()).asked


async def test_ray_serve_that_is_not_there_is_no_number() -> None:
    """No such deployment, a dashboard that cannot, something else that answers, and nothing that does."""
    with pytest.raises(failures.NotFoundError, match="aftercall/diarization"):
        await ray(RayDashboard(), ASKED.model_copy(update={"deployment": "diarization"})).read()
    for status in (200, 500, 503):
        with pytest.raises(failures.UnavailableError, match=r"http://dashboard\.calls\.svc:8265"):
            await ray(RayDashboard(status=status)).read()

    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectTimeout("late", request=request)

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(refuse))
    with pytest.raises(failures.UnavailableError, match="does not answer"):
        await targets.RayServe(client, "http://dashboard", ASKED).read()
