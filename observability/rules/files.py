"""Which rules go to which file."""

from __future__ import annotations

from observability.rules import (
    answering,
    backlog,
    consuming,
    delivery,
    groups,
    objectives,
    operating,
    parts,
    speech,
    work,
)

FILES = {
    "speech.yaml": speech.GROUPS,
    "objectives.yaml": objectives.GROUPS,
    "backlog.yaml": (*work.GROUPS, *backlog.GROUPS, *consuming.GROUPS, *answering.GROUPS),
    "operator.yaml": operating.GROUPS,
    "delivery.yaml": delivery.GROUPS,
    "parts.yaml": parts.GROUPS,
}
GROUPS = tuple(group for each in FILES.values() for group in each)
ALERTS = tuple(alert for group in GROUPS for alert in group.alerts)
RECORDS = tuple(record for group in GROUPS for record in group.records)


def render() -> dict[str, str]:
    """Return the files by their names."""
    return {name: groups.render(each) for name, each in FILES.items()}
