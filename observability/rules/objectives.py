"""What is promised, and how fast the budget for breaking it goes: burn rates over two windows at once.

A burn of 1 spends the budget in 30 days. A page is a burn that spends 2 % of it in an hour or 5 % in six; a ticket one
that spends 10 % in three days. The short window ends an alert soon after what caused it. Where few calls come, a ratio
says little: below a number of calls gone wrong nobody is told by these. (Google, The Site Reliability Workbook, ch. 5.)
"""

from __future__ import annotations

import dataclasses

from aftercall.contracts import metrics
from observability.rules.groups import Alert, Group, Record, Rule, Severity, promql


@dataclasses.dataclass(frozen=True, slots=True)
class Objective:
    """A promise: of what is `counted`, the share `bad` stays within `budget`; below `guard` bad ones nobody is told."""

    name: str
    bad: str
    counted: str
    budget: float
    guard: int

    def ratio(self, window: str) -> str:
        """Return the series of the share that went wrong over a window."""
        return f"aftercall:{self.name}:ratio{window}"

    @property
    def bad_rate(self) -> str:
        """Return the series of what went wrong, a second."""
        return f"aftercall:{self.name}:rate5m"

    @property
    def counted_rate(self) -> str:
        """Return the series of what counts, a second."""
        return f"aftercall:{self.name}_counted:rate5m"


_PROMISES, _JOBS = metrics.POOL_PROMISES.name, metrics.JOBS.name

# What waited for its tenant's own limit was promised nothing: it is neither kept nor broken.
LATE = Objective("late", f'{_PROMISES}{{kept="false"}}', f'{_PROMISES}{{kept=~"true|false"}}', 0.01, 10)
DEAD = Objective("dead", f'{_JOBS}{{outcome="dead"}}', _JOBS, 0.001, 5)

WINDOWS = ("30m", "1h", "6h", "3d")
_INTERVAL_S = 30
"""Seconds between two samples of these groups: their sum times this is a number of calls."""


def _records(objective: Objective) -> tuple[Rule, ...]:
    bad, counted = objective.bad_rate, objective.counted_rate
    return (
        Record(bad, f"sum by (namespace, pool) (rate({objective.bad}[5m]))"),
        Record(counted, f"sum by (namespace, pool) (rate({objective.counted}[5m]))"),
        Record(objective.ratio("5m"), f"{bad} / ({counted} > 0)"),
        # Of rates, not of ratios: an hour with one call weighs as much as that call.
        *(
            Record(
                objective.ratio(window),
                f"avg_over_time({bad}[{window}]) / (avg_over_time({counted}[{window}]) > 0)",
            )
            for window in WINDOWS
        ),
    )


def _burning(objective: Objective, long: str, short: str, burn: float) -> str:
    limit = f"{burn * objective.budget:.4g}"
    return promql(f"""
        {objective.ratio(long)} > {limit}
        and {objective.ratio(short)} > {limit}
        and sum_over_time({objective.bad_rate}[{long}]) * {_INTERVAL_S} >= {objective.guard}
    """)


def _alerts(objective: Objective, prefix: str, what: str) -> tuple[Rule, ...]:
    def alert(name: str, severity: Severity, long: str, short: str, burn: float, hold: str) -> Alert:
        return Alert(
            f"Aftercall{prefix}{name}",
            _burning(objective, long, short, burn),
            hold,
            severity,
            f"Pool {{{{ $labels.pool }}}} of {{{{ $labels.namespace }}}}: too many calls {what}",
            f"{{{{ $value | humanizePercentage }}}} of the calls of the last {long} {what}. At that rate a month's"
            f" budget ({objective.budget:.1%}) lasts {_lasts(burn)}.",
            {"window": long},
        )

    return (
        alert("BurningFast", Severity.PAGE, "1h", "5m", 14.4, "2m"),
        alert("BurningFast", Severity.PAGE, "6h", "30m", 6, "15m"),
        alert("BurningSlowly", Severity.TICKET, "3d", "6h", 1, "1h"),
    )


def _lasts(burn: float) -> str:
    hours = 30 * 24 / burn
    return f"{hours:.0f} hours or less" if hours < 72 else f"{hours / 24:.0f} days or less"


def _group(objective: Objective, prefix: str, what: str) -> Group:
    rules = (*_records(objective), *_alerts(objective, prefix, what))
    return Group(f"aftercall-objective-{objective.name}", rules, interval=f"{_INTERVAL_S}s")


GROUPS = (
    _group(LATE, "Promise", "come later than promised"),
    _group(DEAD, "DeadLetters", "end in a dead letter"),
)
