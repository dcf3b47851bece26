"""Tell tenants of outcomes: each record of news is delivered, put off on a delay topic, or given up; never lost.

Attempts wait on topics, one for each delay, so that what is due comes first in each and nothing is lost with a process.
An endpoint that is slow holds up only itself: what waits for it for more than two seconds is put off untried.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
import typing
from collections.abc import Awaitable, Callable, Collection, Sequence

from aftercall.consumers import addresses, observer, tracing
from aftercall.consumers.intake import places
from aftercall.consumers.publish import endpoint, webhook
from aftercall.contracts import errors, events, identity, metrics, tenants

if typing.TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

_ATTEMPT, _DUE = "aftercall-attempt", "aftercall-due"
_MAX_OPEN_PER_TENANT = 16
_LINE_S = 2.0
_RETRY_S = 2.0


class Store(typing.Protocol):
    """Where it is remembered that an endpoint is gone."""

    async def put(self, key: str, data: bytes) -> None:
        """Write an object over whatever is there."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Read an object; None when there is none."""
        ...


def delay_topics(prefix: str) -> dict[float, str]:
    """Return the topics in which attempts wait, by their delay in seconds."""
    return {delay_s: f"{prefix}.{delay_s:.0f}s" for delay_s in webhook.SCHEDULE_S}


class Webhooks:
    """Delivers records of news. `send(topic, value, key=, headers=)` appends to a delay topic."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        store: Store,
        *,
        policy_of: Callable[[str], tenants.TenantPolicy],
        api_url: str,
        topic_prefix: str,
        send: Callable[..., Awaitable[None]],
        finished: Callable[[places.Place], None],
        observe: observer.Observer,
        now: Callable[[], float] = time.time,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._store = store
        self._policy_of = policy_of
        self._api_url = api_url
        self._topics = delay_topics(topic_prefix)
        self._send = send
        self._finished = finished
        self._observe = observe
        self._now = now
        self._luck = luck
        self._room: dict[str, asyncio.Semaphore] = {}
        self._tasks: dict[places.Place, asyncio.Task[None]] = {}

    def arrive(self, records: Sequence[places.Record]) -> None:
        """Take records that were just read."""
        for record in records:
            task = asyncio.create_task(self._handle(record))
            self._tasks[record.place] = task
            task.add_done_callback(lambda _, place=record.place: self._tasks.pop(place, None))  # type: ignore[misc]

    def withdraw(self, partitions: Collection[places.Partition]) -> None:
        """Leave what waits to the consumer that has its partition now."""
        for place, task in list(self._tasks.items()):
            if (place.topic, place.partition) in partitions:
                task.cancel()

    async def close(self) -> None:
        """Leave everything that waits to the next process."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _handle(self, record: places.Record) -> None:
        headers = dict(record.headers)
        try:
            event = events.parse(record.value or b"")
            attempt, due = int(headers.get(_ATTEMPT, b"1")), float(headers.get(_DUE, b"0"))
        except (errors.ContractError, ValueError) as exc:
            log.error("news not understood", extra={"place": str(record.place), "error": str(exc)[:200]})
            self._finished(record.place)
            return
        await asyncio.sleep(max(0.0, due - self._now()))
        hook = self._policy_of(event.data.tenant).webhook
        while hook is not None:
            try:
                with tracing.following(record.headers, "webhook", {"tenant": event.data.tenant, "attempt": attempt}):
                    await self._attempt(record, event, hook, attempt)
                break
            except errors.TransientError as exc:  # our own store or broker: nothing was concluded
                log.warning("webhook not put off", extra={"reason": exc.reason})
                await asyncio.sleep(_RETRY_S)
        self._finished(record.place)

    async def _attempt(self, record: places.Record, event: events.Event, hook: tenants.Webhook, attempt: int) -> None:
        tenant = event.data.tenant
        where = await self._endpoint(tenant, hook)
        if where is not None and await self._store.get(_gone_key(tenant, where)) is not None:
            self._observe.add(metrics.WEBHOOKS, verdict="disabled")
            return
        room = self._room.setdefault(tenant, asyncio.Semaphore(_MAX_OPEN_PER_TENANT))
        try:
            async with asyncio.timeout(_LINE_S):
                await room.acquire()
        except TimeoutError:
            self._observe.add(metrics.WEBHOOKS, verdict="deferred")
            await self._put_off(record, webhook.SCHEDULE_S[0], attempt)
            return
        try:
            status, retry_after_s = await self._post(event, where) if where is not None else (None, None)
        finally:
            room.release()
        decision = webhook.decide(status, retry_after_s=retry_after_s, attempt=attempt, luck=self._luck())
        self._observe.add(metrics.WEBHOOKS, verdict=decision.verdict)
        fields = {"tenant": tenant, "transcription_id": event.id, "attempt": attempt, "status": status}
        match decision.verdict:
            case webhook.Verdict.LATER:
                await self._put_off(record, decision.delay_s or 0.0, attempt + 1)
            case webhook.Verdict.DISABLED:
                log.warning("webhook endpoint is gone", extra=fields)
                if where is not None:
                    await self._store.put(_gone_key(tenant, where), b"answered 410\n")
            case webhook.Verdict.GIVEN_UP:
                log.error("webhook given up", extra=fields)
            case webhook.Verdict.DELIVERED:
                log.info("webhook delivered", extra=fields)

    async def _endpoint(self, tenant: str, hook: tenants.Webhook) -> endpoint.Endpoint | None:
        """Return where to post; None while its files are not as they must be: an attempt that nobody answers."""
        try:
            return await asyncio.to_thread(endpoint.read, hook)
        except errors.ConfigurationError as exc:
            log.error("webhook not readable", extra={"tenant": tenant, "problem": str(exc)})
            return None

    async def _post(self, event: events.Event, where: endpoint.Endpoint) -> tuple[int | None, float | None]:
        """Return the status that was answered, and how long the endpoint asks to be left alone."""
        import httpx2

        body = webhook.body_of(event, api_url=self._api_url)
        try:
            headers = webhook.headers_of(event.id, body, secrets=where.secrets, now_s=int(self._now()))
            headers |= {name: value.decode() for name, value in tracing.current()}
            answer = await self._client.post(where.url, content=body, headers=headers)
        except (httpx2.HTTPError, addresses.RefusedAddressError, OSError, ValueError) as exc:
            log.warning("webhook not sent", extra={"transcription_id": event.id, "error": type(exc).__name__})
            return None, None
        return answer.status_code, _seconds(answer.headers.get("retry-after"))

    async def _put_off(self, record: places.Record, delay_s: float, attempt: int) -> None:
        """Append to the topic of the shortest delay that is long enough; there what is due first stands first."""
        step_s = next((step_s for step_s in webhook.SCHEDULE_S if step_s * 1.1 >= delay_s), webhook.SCHEDULE_S[-1])
        mark = ((_ATTEMPT, str(attempt).encode()), (_DUE, f"{self._now() + delay_s:.3f}".encode()))
        # Every attempt is a child of the publication, not of the attempt before it.
        headers = (*mark, *tracing.carried(record.headers))
        await self._send(self._topics[step_s], record.value or b"", key=record.key, headers=headers)


def _gone_key(tenant: str, where: endpoint.Endpoint) -> str:
    """Where it lies that an endpoint answered 410; another address is another endpoint."""
    return f"webhooks/{identity.key_part(tenant)}/{hashlib.sha256(where.url.encode()).hexdigest()[:16]}.json"


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None  # a date: the schedule will do
