"""A consumer by its name, and the processes that report under it: whose report it is, and whether it is late."""

from __future__ import annotations

import dataclasses

import numpy as np

from aftercall.contracts import reports
from aftercall.operator import grants

_RETIRED = 8
"""Processes before the present one of which a consumer's late reports are known."""


_EPOCHS_AHEAD = 1_000_000
"""How far another operator's epoch may be above ours: they begin at the minutes since 1970, and these are two years."""


class RefusedError(Exception):
    """A report is not taken: it is late, of a process whose name another has, or tells of what cannot be."""


@dataclasses.dataclass(slots=True)
class Consumer:
    """A process: its last report's number, when that came by the Lease's clock, and the last answer that was sent.

    `retired` are the processes before it that had its name, `out` is what was sent to any of them and may be in use,
    `wanted_per_s` what it could use, NaN for tenants that it tells nothing of.
    """

    instance: str
    number: int
    heard_at_s: float
    retired: tuple[str, ...] = ()
    sent: int = 0
    out: tuple[grants.Answer, ...] = ()
    wanted_per_s: grants.Rates = dataclasses.field(default_factory=lambda: np.zeros(0))


def heard(before: Consumer | None, report: reports.ConsumerReport, *, now_s: float, stale_s: float) -> Consumer:
    """Return a consumer as it is after a report, which may be of another process than the one before.

    Whether that is a newer one is not told: the last words of a process that has died may come after the first of its
    successor. So they may not free what the successor has, and it has its place again once they are stale.
    """
    if before is None:
        return Consumer(report.instance, report.number, now_s)
    if before.instance == report.instance:
        refuse_late(report, before.number)
        return dataclasses.replace(before, number=report.number, heard_at_s=now_s)
    if report.is_draining or (report.instance in before.retired and now_s - before.heard_at_s < stale_s):
        raise RefusedError(f"another process reports as {report.consumer}; each needs a name of its own")
    others = (each for each in before.retired if each != report.instance)
    retired = (*others, before.instance)[-_RETIRED:]
    return Consumer(report.instance, report.number, now_s, retired, out=before.out)


def refuse_unlikely(report: reports.ConsumerReport, epoch: int) -> None:
    """Raise `RefusedError` for an epoch that no operator can have had: ours would have to be higher, and has an end."""
    if report.epoch > epoch + _EPOCHS_AHEAD:
        raise RefusedError(f"epoch {report.epoch} that {report.consumer} tells of is far beyond ours, {epoch}")


def refuse_late(report: reports.ConsumerReport, last: int) -> None:
    """Raise `RefusedError` for a report of the same process that is not newer than its last one."""
    if report.number <= last:
        raise RefusedError(f"report {report.number} of {report.consumer} came after its report {last}")
