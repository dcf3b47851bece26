"""Tell the operator every few seconds what is here, and apply what it grants.

Whatever is lost on the way changes nothing: what is held goes on until its lease has run out, and then only floors are
used. See `intake.granted` for what an answer means.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pathlib
import random
import ssl
import time
import typing
from collections.abc import Callable, Mapping, Sequence

import pydantic

from aftercall.consumers import observer
from aftercall.consumers.intake import granted, places, tally
from aftercall.contracts import metrics, reports, sections

if typing.TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

_PATH = "/v1/reports"
_TIMEOUT_S = 10.0
_LEAVING_S = 5.0
"""For the last report: what it would give back is free once its lease has run out, too."""
_LONGEST_DELAY_S = 30.0
_LATE_S = 120.0
"""After which nobody can believe that a report that is due still comes: each ends well within it."""
_MAX_DETAIL_CHARS = 300
_RESULTS = {401: "unauthenticated", 403: "forbidden", 409: "refused", 422: "invalid", 503: "unavailable"}


class Backlog(typing.Protocol):
    """What a consumer has, and where grants are used."""

    def loads(self, *, now_s: float) -> Mapping[tally.Line, tally.Sums]:
        """Return how much of each tenant's work on each lane is here, and was."""
        ...

    def is_throttled(self, tenant: str) -> bool:
        """Say whether work of a tenant waits for its limit."""
        ...

    def renew_terms(self) -> None:
        """Note that limits are others than before."""
        ...

    def charge_elsewhere(self, given_s: Mapping[str, Sequence[float]]) -> None:
        """Count what other consumers have given each tenant, by lane."""
        ...


class Holder(typing.Protocol):
    """Who is asked for limits."""

    granted: granted.Granted | None


class Reporter:
    """Reports for one consumer. `positions` are of its partitions; `works` says what was prepared and what was heard.

    `instance` is another after each start.
    """

    def __init__(
        self,
        configured: sections.Reporting,
        client: httpx2.AsyncClient,
        *,
        name: str,
        instance: str,
        backlog: Backlog,
        holder: Holder,
        positions: Callable[[], Mapping[places.Partition, int]],
        works: Callable[[], tuple[reports.Work, reports.Work]],
        observe: observer.Observer,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        luck: Callable[[], float] = random.random,
    ) -> None:
        assert configured.pool is not None
        self._settings = configured
        self._pool = configured.pool
        self._client = client
        self._name = name
        self._instance = instance
        self._backlog = backlog
        self._holder = holder
        self._positions = positions
        self._works = works
        self._observe = observe
        self._clock = clock
        self._wall_clock = wall_clock
        self._luck = luck
        self._held = granted.Granted()
        self._number = 0
        self._due_at_s: float | None = None
        self._hold(self._held)

    @property
    def lease_left_s(self) -> float:
        """For how long what is held is good."""
        return max(0.0, self._held.until_s - self._clock())

    async def run(self, stopping: asyncio.Event) -> None:
        """Report until cancelled; once `stopping`, hold nothing any more."""
        n_failed = 0
        while True:
            self._due_at_s = self._clock()
            wait_s = await self._try(stopping)
            n_failed = 0 if wait_s is None else n_failed + 1
            delay_s = self._settings.interval_s
            if wait_s is not None:
                delay_s = max(wait_s, min(_LONGEST_DELAY_S, delay_s * 2 ** min(n_failed - 1, 10)))
            # Spread, so that consumers that began together do not report together.
            delay_s *= 0.9 + 0.2 * self._luck()
            self._due_at_s = self._clock() + delay_s
            if self._held.is_drained:
                await asyncio.sleep(delay_s)
                continue
            try:
                async with asyncio.timeout(delay_s):
                    await stopping.wait()
            except TimeoutError:
                pass

    def why_not_reporting(self) -> str | None:
        """Say that reports have ended, or stand still; None when all is well, and before the first."""
        late_s = 0.0 if self._due_at_s is None else self._clock() - self._due_at_s
        return f"a report is {late_s:.0f} s late" if late_s > _LATE_S else None

    async def _try(self, stopping: asyncio.Event) -> float | None:
        """Report once; a mistake of our own ends one report, not reporting."""
        try:
            if stopping.is_set() and not self._held.is_drained:
                self._hold(granted.drained(self._held))
            return await self.report()
        except Exception:
            self._observe.add(metrics.REPORTS_SENT, result="mistake")
            log.exception("report not made, or its answer not applied")
            return 0.0

    async def leave(self) -> None:
        """Say that nothing is here any more, and nothing held; once, since its lease ends by itself."""
        self._hold(granted.drained(self._held))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_S):
                await self.report(is_last=True)

    async def report(self, *, is_last: bool = False) -> float | None:
        """Report once and apply the answer; return None, or after how many seconds at the earliest to try again."""
        told = self._told(is_last=is_last)
        kept = granted.told(self._held, {load.tenant for load in told.tenants})
        if kept is not self._held:
            self._hold(kept)
        asked_at_s = self._clock()
        try:
            answer = await self._ask(told)
        except _FailedError as exc:
            self._observe.add(metrics.REPORTS_SENT, result=exc.result)
            log.warning("report not answered", extra={"result": exc.result, "error": str(exc)})
            return exc.retry_after_s
        self._observe.add(metrics.REPORTS_SENT, result="applied" if self._apply(answer, asked_at_s) else "ignored")
        return None

    def _apply(self, answer: reports.Grants, asked_at_s: float) -> bool:
        held = granted.apply(self._held, answer, asked_at_s=asked_at_s, now_s=self._clock())
        if held is None:
            return False
        self._hold(held)
        if held.answered != answer.number:
            return False
        self._backlog.charge_elsewhere({each.tenant: each.elsewhere_audio_s for each in answer.grants})
        return True

    def _hold(self, held: granted.Granted) -> None:
        """Use what is held from now on; nothing may come between the two, or a rate would count for time before it."""
        self._held = self._holder.granted = held
        self._backlog.renew_terms()

    def _told(self, *, is_last: bool) -> reports.ConsumerReport:
        now_s = self._clock()
        # Positions first: what is read in between is counted twice for a moment, and not left out.
        positions = {} if is_last else self._positions()
        loads = {} if is_last else self._backlog.loads(now_s=now_s)
        prepared, heard = self._works()
        self._number += 1
        return reports.ConsumerReport(
            consumer=self._name,
            instance=self._instance,
            pool=self._pool,
            number=self._number,
            epoch=self._held.epoch,
            answered=self._held.answered,
            is_draining=self._held.is_drained,
            tenants=tuple(self._load(line, sums, now_s) for line, sums in loads.items()),
            positions=tuple(
                reports.Position(topic=topic, partition=at, position=position)
                for (topic, at), position in positions.items()
            ),
            prepared=prepared,
            heard=heard,
        )

    def _load(self, line: tally.Line, sums: tally.Sums, now_s: float) -> reports.TenantLoad:
        (tenant, rank), oldest_s = line, sums.oldest_announced_s
        held = self._held.held(tenant, now_s=now_s)
        return reports.TenantLoad(
            tenant=tenant,
            lane=reports.LANES[rank],
            waiting=len(sums.waiting),
            waiting_audio_s=sums.waiting_s,
            oldest_waiting_s=None if oldest_s is None else max(0.0, self._wall_clock() - oldest_s),
            running_audio_s=sums.running_s,
            served_audio_s=sums.served_s,
            begun_audio_s=sums.begun_s,
            is_throttled=self._backlog.is_throttled(tenant),
            held_per_s=None if held is None else held.per_s,
            held_burst_audio_s=None if held is None else held.burst_audio_s,
        )

    async def _ask(self, told: reports.ConsumerReport) -> reports.Grants:
        import httpx2

        body = told.model_dump_json(exclude_defaults=True)
        headers = {"Content-Type": "application/json"}
        try:
            if self._settings.token_file is not None:
                # Kubernetes writes a new one long before the old one ends.
                headers["Authorization"] = f"Bearer {_token(self._settings.token_file)}"
            async with asyncio.timeout(_TIMEOUT_S):
                answer = await self._client.post(_PATH, content=body.encode(), headers=headers)
        except (httpx2.HTTPError, OSError, TimeoutError, UnicodeDecodeError) as exc:
            raise _FailedError("unreachable", type(exc).__name__) from exc
        if answer.status_code != 200:
            told_s = answer.headers.get("retry-after", "")
            retry_after_s = min(_LONGEST_DELAY_S, float(told_s)) if told_s.isdecimal() else 0.0
            raise _FailedError(_RESULTS.get(answer.status_code, "failed"), _why(answer), retry_after_s)
        try:
            return reports.Grants.model_validate_json(answer.content)
        except pydantic.ValidationError as exc:
            raise _FailedError("nonsense", f"{exc.error_count()} problems in the answer") from exc


def _why(answer: httpx2.Response) -> str:
    """Return what the operator says of a report that it does not take: a problem of RFC 9457, if it is one."""
    try:
        return f"HTTP {answer.status_code}: {answer.json()['detail'][:_MAX_DETAIL_CHARS]}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"


class _FailedError(Exception):
    """A report was not answered, and how that is counted."""

    def __init__(self, result: str, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.result = result
        self.retry_after_s = retry_after_s


def build_client(configured: sections.Reporting) -> httpx2.AsyncClient:
    """Return a client for the operator's address; through no proxy, since its token is for nobody else."""
    import httpx2

    context = ssl.create_default_context(cafile=configured.ca_file) if configured.ca_file is not None else True
    return httpx2.AsyncClient(
        base_url=str(configured.url), timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False, verify=context
    )


def _token(path: pathlib.Path) -> str:
    return path.read_text(encoding="ascii").strip()
