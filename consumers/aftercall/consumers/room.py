"""Places for windows on their way through the backend, given out in fair order between tenants.

An hour's call is 120 windows. Calls take turns window by window, so that a long one does not stand before short ones;
each open call waits here with one window at most, which bounds the audio in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aftercall.consumers.intake import delivery, fairness

_Waiter = tuple["asyncio.Future[None]", float]


class Room:
    """So many windows at once, of all calls. `weight_of(tenant)` is asked whenever a window of its waits."""

    def __init__(
        self,
        n_places: int,
        weight_of: Callable[[str], float],
        *,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._n_places = self._n_free = n_places
        self._weight_of = weight_of
        self._n_waiting = 0
        self._on_change = on_change
        self._orders: dict[int, fairness.FairOrder[_Waiter]] = {}

    async def enter(self, taken: delivery.Delivery, cost_s: float) -> None:
        """Wait for a place for a window of so many window-seconds; `leave` gives it back."""
        tenant, rank, deadline = taken.work.recording.tenant, taken.rank, taken.event.deadline
        order = self._orders.setdefault(rank, fairness.FairOrder())
        order.weigh(tenant, self._weight_of(tenant))
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due = fairness.LAST if deadline is None else deadline.timestamp()
        order.push(tenant, (place, cost_s), opened=taken.queued_at, deadline=due)
        self._n_waiting += 1
        self._give_out()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it was given out in the same moment
                self.leave()
            else:
                self._n_waiting -= 1
                self._on_change()
            raise

    @property
    def n_taken(self) -> int:
        """How many places are taken."""
        return self._n_places - self._n_free

    @property
    def n_waiting(self) -> int:
        """How many windows wait for a place."""
        return self._n_waiting

    def leave(self) -> None:
        """Give a place back."""
        self._n_free += 1
        self._give_out()

    def _give_out(self) -> None:
        for rank in sorted(self._orders):
            order = self._orders[rank]
            while self._n_free and (found := order.pop()) is not None:
                tenant, (place, cost_s) = found
                if not place.done():
                    order.charge(tenant, cost_s)
                    self._n_free -= 1
                    self._n_waiting -= 1
                    place.set_result(None)
        self._on_change()
