"""Who reports: the service account and the pod that a token was made for, as the API server says (TokenReview)."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

from aftercall.operator import failures, kube

_KNOWN_S = 60.0
"""For how long an answer holds: a consumer reports every few seconds, and pods do not change their accounts."""
_UNKNOWN_S = 10.0
_MOST = 10_000
_REVIEWS_AT_ONCE = 16
_PLACE_S = 3.0
"""For how long a caller waits for a place. At 20 ms a review, 16 at once are 2,400 callers in that time. Where the API
server hangs each review takes its 10 s, and the 160th caller would be answered after 100; but a consumer gives up after
10 s, and its next report would stand in line behind the one that nobody waits for any more."""
_PREFIX = "system:serviceaccount:"
_POD = "authentication.kubernetes.io/pod-name"


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a service account of the operator's namespace, and the pod that its token is bound to."""

    account: str
    pod: str | None


class Accounts:
    """Tells callers by their tokens. Answers are kept by the token's hash, for a minute at most."""

    def __init__(self, client: kube.Kubernetes, *, audience: str, now: Callable[[], float]) -> None:
        self._client = client
        self._audience = audience
        self._now = now
        self._known: dict[bytes, tuple[Caller | None, float]] = {}
        self._places = asyncio.Semaphore(_REVIEWS_AT_ONCE)

    async def tell(self, token: str) -> Caller | None:
        """Return whose token it is; None: it is no good, or not made for us. Raise failures of `failures`."""
        key = hashlib.sha256(token.encode()).digest()
        now_s = self._now()
        known = self._known.get(key)
        if known is None or now_s >= known[1]:
            await self._wait_for_a_place()
            try:
                known = self._known.get(key)
                if known is None or now_s >= known[1]:
                    known = await self._review(token, key)
            finally:
                self._places.release()
        return known[0]

    async def _wait_for_a_place(self) -> None:
        """However many tokens are tried, the API server is asked for a few at a time."""
        try:
            async with asyncio.timeout(_PLACE_S):
                await self._places.acquire()
        except TimeoutError as exc:
            raise failures.UnavailableError(
                f"cannot create tokenreviews: {_REVIEWS_AT_ONCE} are under way, and none made room for {_PLACE_S:g} s"
            ) from exc

    async def _review(self, token: str, key: bytes) -> tuple[Caller | None, float]:
        asked = {"spec": {"token": token, "audiences": [self._audience]}}
        found = self._caller((await self._client.create(kube.TOKEN_REVIEWS, asked)).get("status", {}))
        now_s = self._now()
        told = self._known[key] = found, now_s + (_UNKNOWN_S if found is None else _KNOWN_S)
        if len(self._known) > _MOST:
            self._known = {each: kept for each, kept in self._known.items() if now_s < kept[1]}
        if len(self._known) > _MOST:  # somebody tries many tokens: the oldest answer goes
            del self._known[next(iter(self._known))]
        return told

    def _caller(self, status: dict[str, Any]) -> Caller | None:
        # A server that knows no audiences leaves them out, and then a token of any audience would do.
        if not status.get("authenticated") or self._audience not in status.get("audiences", ()):
            return None
        user = status.get("user", {})
        name = str(user.get("username", ""))
        if not name.startswith(_PREFIX):
            return None
        namespace, _, account = name.removeprefix(_PREFIX).partition(":")
        if namespace != self._client.namespace:
            return None
        return Caller(account, next(iter(user.get("extra", {}).get(_POD, ())), None))
