"""Whose token it is, as the API server says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aftercall.operator import accounts, failures, kube, testing


def status(**more: Any) -> dict[str, Any]:
    """Return what an API server says of a good token of a consumer."""
    user = {
        "username": "system:serviceaccount:calls:consumers",
        "extra": {"authentication.kubernetes.io/pod-name": ["calls-consumers-1"]},
    }
    return {"authenticated": True, "audiences": ["aftercall-operator"], "user": user} | more


def told(cluster: testing.FakeKubernetes, clock: testing.Clock) -> accounts.Accounts:
    """Return who asks this API server."""
    return accounts.Accounts(cluster, audience="aftercall-operator", now=clock)


async def test_a_good_token_names_its_account_and_pod() -> None:
    """And is asked about once a minute, by our audience."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    cluster.tokens["t"] = status()
    known = told(cluster, clock)

    found = [await known.tell("t") for _ in range(3)]

    assert [accounts.Caller("consumers", "calls-consumers-1")] * 3 == found
    (asked,) = cluster.made("create", "tokenreviews")
    assert asked.body == {"spec": {"token": "t", "audiences": ["aftercall-operator"]}}
    clock.now_s += 60
    await known.tell("t")
    assert 2 == len(cluster.calls)


@pytest.mark.parametrize(
    "said",
    [
        {"authenticated": False},
        status(audiences=["https://kubernetes.default.svc"]),
        {key: value for key, value in status().items() if key != "audiences"},
        status(user={"username": "admin"}),
        status(user={"username": "system:serviceaccount:other:consumers"}),
        {},
    ],
    ids=["bad", "other-audience", "no-audience", "a-person", "other-namespace", "nothing"],
)
async def test_other_tokens_are_nobodys(said: dict[str, Any]) -> None:
    """Whatever is wrong with them."""
    cluster = testing.FakeKubernetes()
    cluster.tokens["t"] = said

    assert await told(cluster, testing.Clock()).tell("t") is None


async def test_a_token_without_a_pod_is_not_bound_to_one() -> None:
    """Who asks decides whether that will do."""
    cluster = testing.FakeKubernetes()
    cluster.tokens["t"] = status(user={"username": "system:serviceaccount:calls:api"})

    assert accounts.Caller("api", None) == await told(cluster, testing.Clock()).tell("t")


async def test_an_api_server_that_is_away_says_nothing_of_a_token() -> None:
    """It is neither good nor bad, and nothing is kept."""
    cluster, clock = testing.FakeKubernetes(), testing.Clock()
    cluster.broken["create", "tokenreviews"] = failures.UnavailableError("away")
    known = told(cluster, clock)
    with pytest.raises(failures.UnavailableError):
        await known.tell("t")

    cluster.broken.clear()
    cluster.tokens["t"] = status()
    assert await known.tell("t") is not None


async def test_many_tokens_are_not_kept_for_ever() -> None:
    """Whoever tries them."""
    cluster = testing.FakeKubernetes()
    known = told(cluster, testing.Clock())

    for at in range(10_100):
        await known.tell(str(at))

    assert 10_000 == len(known._known)


async def test_many_tokens_at_once_are_asked_for_a_few_at_a_time() -> None:
    """Reviews are the API server's work, whoever makes it."""
    n_open, most = 0, 0

    class Slow(testing.FakeKubernetes):
        async def create(self, resource: kube.Resource, body: kube.Object) -> kube.Object:
            nonlocal n_open, most
            n_open += 1
            most = max(most, n_open)
            await asyncio.sleep(0)
            n_open -= 1
            return await super().create(resource, body)

    known = told(Slow(), testing.Clock())
    await asyncio.gather(*(known.tell(str(at)) for at in range(100)))

    assert 16 == most


async def test_nobody_waits_in_line_behind_an_api_server_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds no place soon is told so, as of a review that fails; and finds one once reviews end again."""
    monkeypatch.setattr(accounts, "_PLACE_S", 0.01)
    answers = asyncio.Event()

    class Hanging(testing.FakeKubernetes):
        async def create(self, resource: kube.Resource, body: kube.Object) -> kube.Object:
            await answers.wait()
            return await super().create(resource, body)

    cluster = Hanging()
    cluster.tokens |= {str(at): status() for at in range(100)}
    known = told(cluster, testing.Clock())
    asked = [asyncio.create_task(known.tell(str(at))) for at in range(100)]
    in_line, _ = await asyncio.wait(asked[16:], timeout=10)

    assert 84 == len(in_line)
    assert {failures.UnavailableError} == {type(each.exception()) for each in in_line}
    monkeypatch.undo()
    answers.set()
    found = await asyncio.gather(*asked[:16], *(known.tell(str(at)) for at in range(100)))
    assert [accounts.Caller("consumers", "calls-consumers-1")] * 116 == found
