"""A consumer's share of a limit without a consumer: work of one tenant, the buckets that hold it back, its reports."""

from __future__ import annotations

import asyncio
import dataclasses
import typing
from collections.abc import Mapping, Sequence

import httpx2

from aftercall.consumers import reporting
from aftercall.consumers.intake import admission, granted, tally, turns
from aftercall.operator import exchange, grants

PIECE_S = 15.0
"""As much as the smallest burst of one floor, so that nothing leaves a debt."""


class Shop:
    """One consumer's intake: work of one tenant without end, or none, begun as soon as its limit lets it."""

    def __init__(self, clock: typing.Callable[[], float], limit: grants.Limit | None) -> None:
        self.clock = clock
        self.limit = limit
        """As its tenants file says; None: all may begin, and nothing of it is counted."""
        self.granted: granted.Granted | None = None
        self.tally = tally.Tally()
        self.accounts = turns.Accounts()
        self.turns: turns.Turns[tally.Entry] = turns.Turns(self.terms_of, self.accounts)
        self.begun_s = 0.0

    def terms_of(self, tenant: str) -> turns.Terms:
        """Return the tenant's."""
        assert self.granted is not None
        if self.limit is None:
            return turns.Terms()
        whole = admission.Limit(self.limit.per_s, self.limit.burst_audio_s)
        return turns.Terms(limit=granted.limit_of(whole, self.limit.floor_per_s, self.granted, tenant))

    def read(self, limit: grants.Limit | None) -> None:
        """Take in another tenants file, as `Tenants.watch` does."""
        self.limit = limit
        self.renew_terms()

    def add(self, n_pieces: int) -> None:
        """Let work come."""
        for _ in range(n_pieces):
            entry = tally.Entry("t", 0, PIECE_S)
            self.tally.wait(entry)
            self.turns.add("t", entry, estimate_s=PIECE_S, opened=0.0)

    def work(self) -> None:
        """Begin and end what may begin now."""
        while (turn := self.turns.take(now_s=self.clock())) is not None:
            self.tally.begin(turn.item)
            self.tally.end(turn.item, actual_s=PIECE_S)
            self.turns.end(turn, actual_s=PIECE_S)
            if self.limit is not None:
                self.begun_s += PIECE_S

    def rate(self) -> float:
        """Return what may be used now of the limit, audio-seconds a second."""
        limit = self.terms_of("t").limit
        return 0.0 if limit is None else limit.at(self.clock()).rate

    def burst_s(self) -> float:
        """Return what may be saved up now of the limit, audio-seconds."""
        limit = self.terms_of("t").limit
        return 0.0 if limit is None else limit.at(self.clock()).burst_s

    def level_s(self) -> float:
        """Return what is saved up."""
        account = self.accounts.of("t")
        if account.bucket is None or account.limit is None:
            return 0.0
        return admission.settle(account.bucket, account.limit, now_s=self.clock()).level_s

    def loads(self, *, now_s: float) -> Mapping[tally.Line, tally.Sums]:
        """Return what is here."""
        return self.tally.read(now_s=now_s)

    def is_throttled(self, tenant: str) -> bool:
        """Say whether the limit holds it back."""
        return self.turns.is_throttled(tenant, now_s=self.clock())

    def renew_terms(self) -> None:
        """Use other limits from now on."""
        self.accounts.renew(self.terms_of, now_s=self.clock())
        self.turns.reconsider_all()

    def charge_elsewhere(self, given_s: Mapping[str, Sequence[float]]) -> None:
        """Nothing: one tenant is alone here."""


class Wire:
    """One consumer's connection: one question at a time, answered or not."""

    def __init__(self) -> None:
        self.question: bytes | None = None
        self.reply: asyncio.Future[httpx2.Response] | None = None

    async def post(self, path: str, *, content: bytes, headers: Mapping[str, str]) -> httpx2.Response:
        """Ask."""
        self.question, self.reply = content, asyncio.get_running_loop().create_future()
        return await self.reply


@dataclasses.dataclass
class Consumer:
    """A process, the operator that its address leads to, and the report that it waits for an answer to."""

    name: str
    shop: Shop
    wire: Wire
    reporter: reporting.Reporter
    operator: Operator
    asking: asyncio.Task[float | None] | None = None


@dataclasses.dataclass
class Operator:
    """One that has the Lease, or had it; `held_at_s` by its own clock, and the limit as it was then."""

    exchange: exchange.Exchange
    offset_s: float
    held_at_s: float
    limit: grants.Limit | None
