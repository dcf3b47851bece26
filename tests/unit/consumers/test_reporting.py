"""What a consumer tells the operator, and what becomes of the answer."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable, Mapping, Sequence

import httpx2
import pytest

from aftercall.consumers import observer, reporting
from aftercall.consumers.intake import granted, tally
from aftercall.contracts import reports, sections

Answer = Callable[[httpx2.Request], httpx2.Response]


class Rig:
    """A reporter with its edges in lists: an operator that answers as it is told to, and a clock that is set."""

    def __init__(self, folder: pathlib.Path, answer: Answer) -> None:
        self.answer = answer
        self.mistakes = 0
        self.now_s = 1000.0
        self.requests: list[httpx2.Request] = []
        self.granted: granted.Granted | None = None
        self.renewed: list[granted.Granted | None] = []
        self.elsewhere: list[Mapping[str, Sequence[float]]] = []
        self.tally = tally.Tally()
        self.observe = observer.PrometheusObserver()
        self.token = folder / "token"
        self.token.write_text("first\n")
        told = {"url": "http://operator:8480", "pool": "calls", "token_file": self.token, "interval_s": 0.001}
        self.reporter = reporting.Reporter(
            sections.Reporting.model_validate(told),
            httpx2.AsyncClient(transport=httpx2.MockTransport(self._serve), base_url="http://operator:8480"),
            name="pod-a",
            instance="i1",
            backlog=self,
            holder=self,
            positions=self._positions,
            works=lambda: (reports.Work(done_audio_s=5.0, busy_s=2.0), reports.Work(done_audio_s=4.0, full_s=1.0)),
            observe=self.observe,
            clock=lambda: self.now_s,
            wall_clock=lambda: 500.0,
            luck=lambda: 0.5,
        )

    def _positions(self) -> dict[tuple[str, int], int]:
        if self.mistakes > 0:
            self.mistakes -= 1
            raise KeyError("a mistake of our own")
        return {("recordings", 3): 42}

    def told(self, at: int = -1) -> reports.ConsumerReport:
        """Return a report that was sent."""
        return reports.ConsumerReport.model_validate_json(self.requests[at].content)

    def counted(self, result: str) -> bool:
        """Say whether a report was counted as this."""
        return f'aftercall_consumer_reports_total{{result="{result}"}} 1.0' in self.observe.exposition().decode()

    def loads(self, *, now_s: float) -> Mapping[tally.Line, tally.Sums]:
        """Return what is here."""
        return self.tally.read(now_s=now_s)

    def is_throttled(self, tenant: str) -> bool:
        """Say that one of them is."""
        return tenant == "t"

    def renew_terms(self) -> None:
        """Note what is held from now on."""
        self.renewed.append(self.granted)

    def charge_elsewhere(self, given_s: Mapping[str, Sequence[float]]) -> None:
        """Note what is charged."""
        self.elsewhere.append(given_s)

    def _serve(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self.answer(request)


def grants(number: int = 7, *, epoch: int = 3, lease_s: float = 900.0) -> reports.Grants:
    """Return an answer."""
    grant = reports.Grant(tenant="t", per_s=2.0, burst_audio_s=9.0, elsewhere_audio_s=(60.0,))
    return reports.Grants(epoch=epoch, number=number, lease_s=lease_s, grants=(grant,))


def answering(*answers: reports.Grants) -> Answer:
    """Return an operator that answers with these, and then as at last."""
    left = list(answers)
    return lambda _: httpx2.Response(200, content=(left.pop(0) if len(left) > 1 else left[0]).model_dump_json())


async def test_a_report_says_what_is_here_and_its_answer_is_held(tmp_path: pathlib.Path) -> None:
    """With a token that is read each time; the next one says what is held, and since which answer."""
    rig = Rig(tmp_path, answering(grants()))
    waits, runs = tally.Entry("t", 0, 60.0, 480.0), tally.Entry("t", 1, 30.0)
    for each in (waits, runs):
        rig.tally.wait(each)
    rig.tally.begin(runs)
    assert await rig.reporter.report() is None
    rig.token.write_text("second\n")
    rig.now_s += 5.0
    assert await rig.reporter.report() is None

    load = reports.TenantLoad(tenant="t", waiting=1, waiting_audio_s=60.0, oldest_waiting_s=20.0, is_throttled=True)
    bulk = reports.TenantLoad(tenant="t", lane="bulk", running_audio_s=30.0, begun_audio_s=30.0, is_throttled=True)
    first = reports.ConsumerReport(
        consumer="pod-a",
        instance="i1",
        pool="calls",
        number=1,
        tenants=(load, bulk),
        positions=(reports.Position(topic="recordings", partition=3, position=42),),
        prepared=reports.Work(done_audio_s=5.0, busy_s=2.0),
        heard=reports.Work(done_audio_s=4.0, full_s=1.0),
    )
    assert first == rig.told(0)
    held = tuple(each.model_copy(update={"held_per_s": 2.0, "held_burst_audio_s": 9.0}) for each in (load, bulk))
    assert first.model_copy(update={"number": 2, "epoch": 3, "answered": 7, "tenants": held}) == rig.told(1)
    assert ["Bearer first", "Bearer second"] == [each.headers["authorization"] for each in rig.requests]
    assert [{"t": (60.0,)}] == rig.elsewhere
    assert 895.0 == rig.reporter.lease_left_s
    assert rig.counted("applied")
    assert rig.counted("ignored")  # the same answer again


def lost(_: httpx2.Request) -> httpx2.Response:
    """Never answer."""
    raise httpx2.ReadTimeout("lost")


@pytest.mark.parametrize(
    ("answer", "result", "wait_s"),
    [
        (lost, "unreachable", 0.0),
        (lambda _: httpx2.Response(503, headers={"Retry-After": "7"}), "unavailable", 7.0),
        (lambda _: httpx2.Response(503, headers={"Retry-After": "99999"}), "unavailable", 30.0),
        (lambda _: httpx2.Response(401), "unauthenticated", 0.0),
        (lambda _: httpx2.Response(403), "forbidden", 0.0),
        (lambda _: httpx2.Response(409), "refused", 0.0),
        (lambda _: httpx2.Response(502, content=b"<html>"), "failed", 0.0),
        (lambda _: httpx2.Response(302, headers={"Location": "http://elsewhere/"}), "failed", 0.0),
        (lambda _: httpx2.Response(200, content=b"<html>"), "nonsense", 0.0),
        (lambda _: httpx2.Response(200, content=b'{"epoch": 9, "number": 9, "lease_s": -1}'), "nonsense", 0.0),
    ],
)
async def test_whatever_goes_wrong_changes_nothing(
    tmp_path: pathlib.Path, answer: Answer, result: str, wait_s: float
) -> None:
    """What is held goes on, and the result is counted."""
    rig = Rig(tmp_path, answering(grants()))
    rig.tally.wait(tally.Entry("t", 0, 60.0))
    await rig.reporter.report()
    before = rig.granted
    rig.answer = answer

    assert wait_s == await rig.reporter.report()
    assert before == rig.granted
    assert 1 == len(rig.elsewhere)
    assert rig.counted(result)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"detail": "there is no pool \'calls\'", "status": 409}', "HTTP 409: there is no pool 'calls'"),
        (b'{"detail": "' + b"x" * 9000 + b'"}', "HTTP 409: " + "x" * 300),
        (b'{"detail": 7}', "HTTP 409"),
        (b"[]", "HTTP 409"),
        (b"\xff<html>", "HTTP 409"),
    ],
)
async def test_the_log_says_why_a_report_is_not_taken(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, content: bytes, said: str
) -> None:
    """In the operator's words; a number alone says nothing to whoever has to mend it."""
    rig = Rig(tmp_path, lambda _: httpx2.Response(409, content=content))
    await rig.reporter.report()

    assert [said] == [each.error for each in caplog.records if each.message == "report not answered"]  # type: ignore[attr-defined]


async def test_what_is_not_told_of_is_not_held(tmp_path: pathlib.Path) -> None:
    """Whoever hears the report could not know of it: an operator that has just begun would give it to another."""
    rig = Rig(tmp_path, answering(grants()))
    await rig.reporter.report()
    assert rig.granted is not None
    assert {"t"} == set(rig.granted.grants)
    rig.answer = lost
    await rig.reporter.report()

    assert () == rig.told().tenants
    assert ({}, rig.granted) == (rig.granted.grants, rig.renewed[-1])


async def test_a_token_that_cannot_be_read_is_a_failure_like_any(tmp_path: pathlib.Path) -> None:
    """Nothing is sent without one."""
    rig = Rig(tmp_path, answering(grants()))
    rig.token.unlink()

    assert 0.0 == await rig.reporter.report()
    assert [] == rig.requests
    assert rig.counted("unreachable")


async def test_an_answer_that_was_long_on_its_way_is_good_for_what_is_left_of_its_lease(tmp_path: pathlib.Path) -> None:
    """And one for which nothing is left is not applied."""
    rig = Rig(tmp_path, lost)
    rig.tally.wait(tally.Entry("t", 0, 60.0))

    def slowly(passed_s: float) -> Answer:
        def serve(_: httpx2.Request) -> httpx2.Response:
            rig.now_s += passed_s
            return httpx2.Response(200, content=grants(int(passed_s)).model_dump_json())

        return serve

    rig.answer = slowly(100.0)
    await rig.reporter.report()
    assert 800.0 == rig.reporter.lease_left_s
    before = rig.granted
    rig.answer = slowly(901.0)
    await rig.reporter.report()

    assert before == rig.granted
    assert 0.0 == rig.reporter.lease_left_s


async def until(condition: Callable[[], bool]) -> None:
    """Let tasks go on until a condition holds."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("not in time")


async def test_one_that_drains_returns_what_it_holds_at_once_and_says_at_last_that_nothing_is_here(
    tmp_path: pathlib.Path,
) -> None:
    """It goes on to say what is still here, and takes no grant any more."""
    rig = Rig(tmp_path, answering(grants(7), grants(8), grants(9)))
    rig.tally.wait(tally.Entry("t", 0, 60.0))
    stopping = asyncio.Event()
    running = asyncio.create_task(rig.reporter.run(stopping))
    await until(lambda: rig.granted is not None and rig.granted.answered > 0)
    stopping.set()
    await until(lambda: rig.told().is_draining)
    assert rig.granted is not None
    assert (True, {}) == (rig.granted.is_drained, rig.granted.grants)
    assert (None, 1) == (rig.told().tenants[0].held_per_s, rig.told().tenants[0].waiting)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await rig.reporter.leave()

    last = rig.told()
    assert (True, (), ()) == (last.is_draining, last.tenants, last.positions)
    assert 0.0 == rig.reporter.lease_left_s


async def test_after_failures_it_waits_longer_and_longer(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until one is answered."""
    rig = Rig(tmp_path, lost)
    delays: list[float] = []

    def timeout(delay_s: float, *, of: Callable[[float], object] = asyncio.timeout) -> object:
        if delay_s < 1:  # those of requests are longer
            delays.append(round(delay_s, 6))
        if len(delays) == 4:
            rig.answer = answering(grants())
        return of(delay_s)

    monkeypatch.setattr(asyncio, "timeout", timeout)
    running = asyncio.create_task(rig.reporter.run(asyncio.Event()))
    await until(lambda: len(delays) >= 6)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [0.001, 0.002, 0.004, 0.008, 0.001, 0.001] == delays[:6]


async def test_a_mistake_of_our_own_ends_one_report_and_not_reporting(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In making one, and in applying its answer; each is counted, and logged with its traceback."""
    rig = Rig(tmp_path, answering(grants(7)))
    rig.mistakes = 1
    running = asyncio.create_task(rig.reporter.run(asyncio.Event()))
    await until(lambda: rig.granted is not None and rig.granted.answered == 7)

    def forget(given_s: Mapping[str, Sequence[float]]) -> None:
        del rig.charge_elsewhere  # type: ignore[method-assign]
        raise ZeroDivisionError

    rig.charge_elsewhere = forget  # type: ignore[method-assign]
    rig.answer = answering(grants(8), grants(9))
    await until(lambda: rig.granted is not None and rig.granted.answered == 9)

    assert not running.done()
    assert 'aftercall_consumer_reports_total{result="mistake"} 2.0' in rig.observe.exposition().decode()
    assert [KeyError, ZeroDivisionError] == [each.exc_info[0] for each in caplog.records if each.exc_info]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_reports_that_have_ended_or_stand_still_are_not_well(tmp_path: pathlib.Path) -> None:
    """Kubernetes starts the consumer anew; before the first one, and while reports merely fail, it is well."""
    rig = Rig(tmp_path, lost)
    rig.now_s += 1000.0  # the model takes its time to load
    assert rig.reporter.why_not_reporting() is None
    running = asyncio.create_task(rig.reporter.run(asyncio.Event()))
    for _ in range(3):
        n_asked = len(rig.requests)
        rig.now_s += 100.0
        await until(lambda before=n_asked: len(rig.requests) > before)  # type: ignore[misc]
    assert rig.reporter.why_not_reporting() is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    rig.now_s += 121.0
    assert "a report is 121 s late" == rig.reporter.why_not_reporting()
