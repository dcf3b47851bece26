"""Windows go to whoever has least to do; servers come, go, hang and fail, and nobody's answer is another's."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import testing, wire
from aftercall.serve.clients import remote, replicas, servers

DOWN = errors.TransientError("down", reason=outcomes.Reason.BACKEND_UNAVAILABLE)


@dataclasses.dataclass
class Server:
    """A server: `says` answers a window, or raises; None never answers."""

    says: Callable[[windows.Window], bytes] | None = lambda window: wire.answer(testing.said(window, "hello"))
    open: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    n_open: int = 0
    most_open: int = 0
    asked: list[str] = dataclasses.field(default_factory=list)
    closed: bool = False
    info: windows.BackendInfo = testing.INFO

    async def ask(self, head: bytes, pcm: bytes, *, timeout_s: float) -> bytes:
        """Answer once `open` is set."""
        window = wire.read_request(head, pcm)
        if window is None:
            return wire.answer(self.info)
        self.asked.append(window.window_id)
        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)
        try:
            await self.open.wait()
            if self.says is None:
                await asyncio.sleep(3600)
            assert self.says is not None
            return self.says(window)
        finally:
            self.n_open -= 1

    async def close(self) -> None:
        """Be closed."""
        assert not self.n_open
        self.closed = True


class Rig:
    """A backend over servers that are named by port; `found` is what the name leads to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, n: int, timeout_s: float = 5) -> None:
        self.servers = [Server() for _ in range(n)]
        self.found: list[int] | OSError = list(range(n))
        self.now_s = 0.0
        asked = servers.Servers(
            "speech",
            8001,
            lambda address: self.servers[address[1]],
            request_timeout_s=timeout_s,
            clock=lambda: self.now_s,
            luck=lambda: 0.0,
        )
        self.backend = remote.RemoteBackend(asked, max_in_flight=100)
        monkeypatch.setattr(servers, "_RESOLVE_S", 0.01)
        monkeypatch.setattr(remote, "_ASK_AGAIN_S", 0.01)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self._resolve)

    async def _resolve(self, *_: object, **__: object) -> list[tuple[object, ...]]:
        if isinstance(self.found, OSError):
            raise self.found
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port)) for port in self.found]

    def ask(self, *ids: str) -> list[asyncio.Task[windows.WindowResult]]:
        """Ask for windows of these ids, all at once."""
        return [asyncio.create_task(self.backend.transcribe(windows.Window(one, "acme", b"xx"))) for one in ids]


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Three servers, started."""
    found = Rig(monkeypatch, n=3)
    await found.backend.start()
    return found


async def test_a_server_that_is_full_is_not_taken_for_one_that_is_broken(rig: Rig) -> None:
    """It rests for nobody: the next window may find it with room."""
    busy = errors.TransientError("full", reason=outcomes.Reason.BACKEND_BUSY)

    def refuse(_: windows.Window) -> bytes:
        raise busy

    for server in rig.servers:
        server.says = refuse
        server.open.set()

    told = await asyncio.gather(*rig.ask("a", "b", "c"), return_exceptions=True)

    assert [outcomes.Reason.BACKEND_BUSY] * 3 == [one.reason for one in told if isinstance(one, errors.TransientError)]
    asked = rig.backend._servers._replicas.values()
    assert {(0, 0.0)} == {(one.n_failed, one.rests_until_s) for one in asked}
    await rig.backend.close()


async def test_whoever_has_least_to_do_is_asked(rig: Rig) -> None:
    """Twelve windows on three servers are four each, and then it goes by who has answered."""
    tasks = rig.ask(*(str(at) for at in range(12)))
    await asyncio.sleep(0.01)
    assert [4, 4, 4] == [server.n_open for server in rig.servers]

    rig.servers[1].open.set()
    await asyncio.sleep(0.01)
    tasks += rig.ask("later")
    await asyncio.sleep(0.01)

    assert "later" in rig.servers[1].asked
    for server in rig.servers:
        server.open.set()
    await asyncio.gather(*tasks)
    await rig.backend.close()
    assert all(server.closed for server in rig.servers)


async def test_a_server_that_left_its_name_answers_what_it_was_asked(rig: Rig) -> None:
    """And nothing more; a new one is found."""
    (first,) = rig.ask("a")
    await asyncio.sleep(0.01)
    rig.found = [1, 2, 3]
    rig.servers.append(Server())
    await asyncio.sleep(0.05)
    tasks = rig.ask(*(str(at) for at in range(9)))
    await asyncio.sleep(0.01)
    for server in rig.servers:
        server.open.set()

    await asyncio.gather(first, *tasks)

    assert ["a"] == rig.servers[0].asked
    assert rig.servers[0].closed
    assert rig.servers[3].asked
    await rig.backend.close()


async def test_a_name_server_that_is_away_takes_nobody_away(rig: Rig) -> None:
    """What is known stays."""
    rig.found = OSError("no name server")
    await asyncio.sleep(0.05)
    for server in rig.servers:
        server.open.set()
    (task,) = rig.ask("a")

    assert "hello" == (await task).text
    await rig.backend.close()


async def test_a_server_that_fails_rests(rig: Rig) -> None:
    """Twice as long each time; one answer, and it is as good as the others."""

    def fail(_: windows.Window) -> bytes:
        raise DOWN

    for server in rig.servers:
        server.open.set()
    rig.servers[0].says = fail
    (failed,) = rig.ask("a")
    with pytest.raises(errors.TransientError):
        await failed
    await asyncio.gather(*rig.ask(*(str(at) for at in range(6))))
    assert ["a"] == rig.servers[0].asked
    rig.now_s = 0.6
    (failed,) = rig.ask("b")
    with pytest.raises(errors.TransientError):
        await failed
    rig.now_s = 1.5
    await asyncio.gather(*rig.ask("c"))
    assert ["a", "b"] == rig.servers[0].asked, "it rests for a second now"
    rig.now_s = 2.0
    rig.servers[0].says = Server.says
    await asyncio.gather(*rig.ask("d"))
    assert ["a", "b", "d"] == rig.servers[0].asked
    await rig.backend.close()


async def test_a_late_answer_goes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer within the time is a passing trouble; a withdrawn window's is nobody's."""
    rig = Rig(monkeypatch, n=1, timeout_s=0.05)
    await rig.backend.start()
    (late,) = rig.ask("late")
    with pytest.raises(errors.TransientError, match="no answer within"):
        await late
    assert 0 == rig.servers[0].n_open
    rig.now_s = 10.0
    (withdrawn,) = rig.ask("withdrawn")
    await asyncio.sleep(0.01)
    withdrawn.cancel()
    await asyncio.gather(withdrawn, return_exceptions=True)
    assert 0 == rig.servers[0].n_open
    await rig.backend.close()


async def test_an_answer_to_another_question_is_no_answer(rig: Rig) -> None:
    """However good it looks."""
    other = windows.Window("other", "globex", b"yy")
    for server in rig.servers:
        server.open.set()
        server.says = lambda _: wire.answer(testing.said(other, "what another said"))
    (task,) = rig.ask("mine")

    with pytest.raises(errors.TransientError, match="another question"):
        await task
    await rig.backend.close()


async def test_it_waits_for_the_first_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that starts before its backend is not ready, and does not die of it."""
    rig = Rig(monkeypatch, n=1)
    rig.found = []
    starting = asyncio.create_task(rig.backend.start())
    await asyncio.sleep(0.05)
    assert not starting.done()
    rig.found = [0]

    await asyncio.wait_for(starting, 5)

    assert testing.INFO == rig.backend.info
    await rig.backend.close()


LOADS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, 5.0, 10.0]), st.booleans()), max_size=6)


@given(LOADS, st.floats(0, 1))
def test_the_choice_is_the_least_loaded_that_does_not_rest(loads: list[tuple[int, float, bool]], luck: float) -> None:
    """Among all of them; when every one rests, whoever rests shortest."""
    known = [
        replicas.Replica(("10.0.0.1", at), None, n_asked=n_asked, rests_until_s=rests, is_gone=gone)
        for at, (n_asked, rests, gone) in enumerate(loads)
    ]
    chosen = replicas.choose(known, now_s=5.0, luck=luck)

    there = [one for one in known if not one.is_gone]
    awake = [one for one in there if one.rests_until_s <= 5.0]
    if awake:
        assert chosen in awake
        assert chosen.n_asked == min(one.n_asked for one in awake)
    elif there:
        assert chosen is not None
        assert chosen.rests_until_s == min(one.rests_until_s for one in there)
    else:
        assert chosen is None


async def test_a_new_model_is_named_once_it_answers(rig: Rig) -> None:
    """During a rollout two models answer: each result says which, and the backend becomes the new one."""
    new = dataclasses.replace(testing.INFO, revision="2")
    for server in rig.servers:
        server.open.set()
        server.says = lambda window: wire.answer(testing.said(window, "hello", heard_by=new.signature))
        server.info = new
    assert "1" == rig.backend.info.revision

    (result,) = await asyncio.gather(*rig.ask("a"))
    assert "fake@2" == result.heard_by
    await asyncio.sleep(0.01)
    assert "2" == rig.backend.info.revision
    await rig.backend.close()
