"""Consumers of which it is not known whether they are still there: their pods are asked for, until one has ended.

What has ended holds no grant, and what it had waits in Kafka again. While a pod runs, neither is certain.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from aftercall.contracts import errors
from aftercall.operator import fleets, kube, ledger

log = logging.getLogger(__name__)

_ASK_AFTER_S = 15.0
"""Seconds of silence after which a consumer's pod is looked for."""
_ASK_AT_MOST = 20
_ANSWER_S = 3.0


class Reports(Protocol):
    """What consumers have told."""

    def known(self, pool: str) -> ledger.Ledger:
        """Return what a pool's consumers have told."""
        ...

    def unheard(self, pool: str) -> Sequence[str]:
        """Return a pool's consumers that hold grants of a forerunner, and have not been heard since."""
        ...

    def gone(self, pool: str, consumer: str) -> None:
        """Forget a consumer whose pod has ended."""
        ...


class Departed:
    """Asks for consumers of one pool that have fallen silent, leave, or were not heard since a forerunner's time."""

    def __init__(self, pool: str, client: kube.Kubernetes, reported: Reports, *, now: Callable[[], float]) -> None:
        self._pool = pool
        self._client = client
        self._reported = reported
        self._now = now
        self._asked_last = ""

    async def find(self) -> None:
        """Ask for those whose turn it is; what is not answered in time delays nothing, and is asked again."""
        now_s = self._now()
        quiet = [
            name
            for name, each in self._reported.known(self._pool).heard.items()
            if each.report.is_draining or now_s - each.at_s >= _ASK_AFTER_S
        ]
        names = {*quiet, *self._reported.unheard(self._pool)}
        asked = sorted(names, key=lambda name: (name <= self._asked_last, name))[:_ASK_AT_MOST]
        self._asked_last = asked[-1] if asked else ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                await asyncio.gather(*map(self._ask, asked))

    async def _ask(self, consumer: str) -> None:
        try:
            if await fleets.has_ended(self._client, consumer):
                self._reported.gone(self._pool, consumer)
                log.info("consumer gone", extra={"pool": self._pool, "consumer": consumer})
        except errors.AftercallError as exc:
            log.warning("pod not read", extra={"pod": consumer, "error": str(exc)})
