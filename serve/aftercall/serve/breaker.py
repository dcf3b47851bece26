"""When a backend that fails may be asked again: a circuit breaker and a budget of retries. Pure; `now_s` is given.

After some failures in a row nobody asks, save one window at a time that tries whether it is back, ever more rarely.
Retries beside that come out of a budget that every first try adds to, so that they never amplify an overload
(Beyer et al., Site Reliability Engineering, chapter 21).
"""

from __future__ import annotations

import dataclasses

FAILURES_TO_OPEN = 5
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 15.0
"""An outage that ends is noticed within this."""
_RETRIES_PER_CALL = 0.1
_MOST_RETRIES = 20.0


@dataclasses.dataclass(frozen=True, slots=True)
class Breaker:
    """`until_s` is None while it is closed; else nobody asks before then, and one at a time after."""

    n_failures: int = 0
    until_s: float | None = None
    is_trying: bool = False

    def wait_s(self, now_s: float) -> float | None:
        """Return for how long to wait before asking; 0: ask. None: somebody tries now, wait for what comes of it."""
        if self.until_s is None:
            return 0.0
        return None if self.is_trying else max(0.0, self.until_s - now_s)

    def asked(self) -> Breaker:
        """Note that somebody asks."""
        return self if self.until_s is None else dataclasses.replace(self, is_trying=True)

    def succeeded(self) -> Breaker:
        """Note an answer: it is back."""
        return Breaker()

    def withdrawn(self) -> Breaker:
        """Note that whoever asked has gone without waiting for an answer."""
        return dataclasses.replace(self, is_trying=False)

    def failed(self, now_s: float, *, luck: float, retry_after_s: float = 0.0) -> Breaker:
        """Note a failure; `luck` in 0 to 1 spreads consumers' tries over half of the delay."""
        n_failures = self.n_failures + 1
        if n_failures < FAILURES_TO_OPEN:
            return Breaker(n_failures)
        # What was on its way when it opened fails too, and says nothing new.
        if self.until_s is not None and not self.is_trying:
            return self
        doublings = min(n_failures - FAILURES_TO_OPEN, 10)
        delay_s = min(LONGEST_DELAY_S, max(FIRST_DELAY_S * 2**doublings, retry_after_s)) * (0.5 + 0.5 * luck)
        return Breaker(n_failures, now_s + delay_s)


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """Retries that may be made now."""

    n_left: float = _MOST_RETRIES / 2

    def earned(self) -> Budget:
        """Add what a first try adds."""
        return Budget(min(_MOST_RETRIES, self.n_left + _RETRIES_PER_CALL))

    def spent(self) -> Budget | None:
        """Take a retry out; None when none is left."""
        return Budget(self.n_left - 1) if self.n_left >= 1 else None
