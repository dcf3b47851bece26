"""The API server as lightkube reaches it, against answers as one gives them; and the double that stands for it."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import lightkube
import pytest
from lightkube.config import kubeconfig, models

from aftercall.operator import failures, kube

Answer = Callable[[httpx2.Request], httpx2.Response]


def reached(answer: Answer) -> kube.Kube:
    """Return access to an API server that answers like this."""
    cluster, user = models.Cluster(server="http://127.0.0.1:1"), models.User(token="t")
    config = kubeconfig.KubeConfig.from_one(cluster=cluster, user=user).get()
    client = lightkube.AsyncClient(config, namespace="calls", transport=httpx2.MockTransport(answer))
    return kube.Kube(client)


def says(status: int, body: object) -> Answer:
    """Answer every request so."""
    return lambda _: httpx2.Response(status, json=body)


async def test_a_scale_is_written_as_it_was_read() -> None:
    """With its version, so that the API server refuses it where somebody has written another since."""
    asked: list[httpx2.Request] = []
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "speech", "namespace": "calls", "resourceVersion": "7", "uid": "u"},
        "spec": {"replicas": 2},
        "status": {"replicas": 2, "selector": "app=speech"},
    }

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json=scale)

    client = reached(answer)
    found = await client.get(kube.DEPLOYMENTS, "speech", part="scale")
    found["spec"]["replicas"] = 5
    await client.replace(kube.DEPLOYMENTS, "speech", found, part="scale")

    path = "/apis/apps/v1/namespaces/calls/deployments/speech/scale"
    assert [("GET", path), ("PUT", path)] == [(each.method, each.url.path) for each in asked]
    sent = json.loads(asked[1].content)
    assert ("7", {"replicas": 5}) == (sent["metadata"]["resourceVersion"], sent["spec"])


async def test_a_status_is_patched_alone() -> None:
    """By a merge patch of the subresource."""
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json={"kind": "TranscriptionPool", "status": {"replicas": 1}})

    found = await reached(answer).patch(kube.POOLS, "calls", {"status": {"replicas": 1}}, part="status")

    assert {"kind": "TranscriptionPool", "status": {"replicas": 1}} == found
    (request,) = asked
    assert request.url.path == "/apis/aftercall.io/v1alpha1/namespaces/calls/transcriptionpools/calls/status"
    assert ("PATCH", "application/merge-patch+json") == (request.method, request.headers["content-type"])


async def test_a_list_has_all_pages_and_asks_for_labels() -> None:
    """An API server may give a list in parts."""
    pages = iter(
        [
            {"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]},
            {"metadata": {}, "items": [{"metadata": {"name": "b"}}]},
        ]
    )
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json=next(pages))

    found = await reached(answer).list(kube.PODS, labels={"app": "speech"})

    assert ["a", "b"] == [each["metadata"]["name"] for each in found]
    assert ["/api/v1/namespaces/calls/pods"] * 2 == [each.url.path for each in asked]
    assert "app=speech" == asked[0].url.params["labelSelector"]


async def test_a_token_review_belongs_to_no_namespace() -> None:
    """As all cluster-scoped objects."""
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(201, json={"status": {"authenticated": True}})

    found = await reached(answer).create(kube.TOKEN_REVIEWS, {"spec": {"token": "t"}})

    assert found == {"status": {"authenticated": True}}
    assert asked[0].url.path == "/apis/authentication.k8s.io/v1/tokenreviews"
    assert json.loads(asked[0].content)["spec"] == {"token": "t"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, failures.ForbiddenError),
        (403, failures.ForbiddenError),
        (404, failures.NotFoundError),
        (409, failures.ConflictError),
        (422, failures.RefusedError),
        (429, failures.UnavailableError),
        (500, failures.UnavailableError),
        (503, failures.UnavailableError),
    ],
)
async def test_what_an_api_server_refuses_has_a_name(status: int, expected: type[Exception]) -> None:
    """And its sentence says what was asked for, and what the server says."""
    client = reached(says(status, {"kind": "Status", "code": status, "message": "because"}))

    with pytest.raises(expected, match=rf"cannot read deployments speech: {status} because"):
        await client.get(kube.DEPLOYMENTS, "speech")


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: httpx2.Response(502, text="<html>"),
        lambda _: httpx2.Response(502),
        lambda _: httpx2.Response(200, text="<html>"),
        says(200, ["no object"]),
        says(200, {"items": 5}),
    ],
    ids=["html-502", "bare-502", "html-200", "list", "number"],
)
async def test_a_proxy_that_answers_in_its_place_is_no_api_server(answer: Answer) -> None:
    """Whatever it says: nothing is concluded."""
    with pytest.raises(failures.UnavailableError):
        await reached(answer).list(kube.PODS)


async def test_no_answer_is_one_that_may_come_later() -> None:
    """A refused connection, and one that leads nowhere."""

    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    with pytest.raises(failures.UnavailableError, match="does not answer"):
        await reached(refuse).get(kube.PODS, "p")
