"""What a look at a pool has found, as conditions say it."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from aftercall.contracts import errors
from aftercall.operator import conditions, failures, fleets, gathering, pool, scaling
from aftercall.operator.conditions import Finding, Status, Type


class Reason(enum.StrEnum):
    """Beside the reasons of decisions."""

    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    ONE_WRITER = "OneWriter"
    AUTOSCALERS_UNKNOWN = "AutoscalersUnknown"
    AS_READ = "AsRead"
    TARGET_MISSING = "TargetMissing"
    TARGET_REFUSED = "TargetRefused"
    TARGET_UNKNOWN = "TargetUnknown"
    NONE_READY = "NoneReady"
    AVAILABLE = "Available"


ACCEPTED = Finding(Status.TRUE, Reason.ACCEPTED, "the specification can be followed")


def invalid(message: str) -> Finding:
    """Return what is found of a specification that cannot be followed."""
    return Finding(Status.FALSE, Reason.INVALID_SPEC, message)


def conflict(said: str | None, *, is_known: bool) -> Finding:
    """Return what is found of rivals; unknown, where autoscalers could not be listed."""
    if not is_known:
        return Finding(
            Status.UNKNOWN,
            Reason.AUTOSCALERS_UNKNOWN,
            "autoscalers could not be listed, so that nothing is scaled: another may scale the same",
        )
    if said is not None:
        return Finding(Status.TRUE, scaling.Reason.SCALING_CONFLICT, said)
    return Finding(Status.FALSE, Reason.ONE_WRITER, "no autoscaler scales what this pool does")


def backlog(found: gathering.Gathered, decided: pool.Decisions) -> Finding:
    """Return what is found of the backlog: whether it is known, and if not, who does not tell."""
    if decided.wanted.is_whole:
        return Finding(Status.TRUE, Reason.AS_READ, "topics are read and consumers report")
    topics, mute = found.unread_topics(), sorted(decided.present.silent)
    said = []
    if topics:
        said.append(f"topics not read: {', '.join(topics)}; does each exist, and may the operator describe it?")
    if mute:
        said.append(f"{len(mute)} consumers have fallen silent, {mute[0]} first")
    if decided.present.n_missing:
        said.append(f"{decided.present.n_missing} consumers are ready and do not report; do they reach the operator?")
    why = "; ".join(said) or "what was read makes no sense yet"
    return Finding(Status.FALSE, scaling.Reason.UNKNOWN_BACKLOG, f"{why}; what is known may raise, nothing lowers")


def replicas(parts: Iterable[tuple[str, gathering.Part | None, fleets.Applied | None]]) -> Finding:
    """Return what is found of fleets: name, what was read, and what became of the number wanted. The worst counts."""
    draining = None
    for name, part, applied in parts:
        if part is None:
            continue
        if part.seen is None:
            return Finding(*_unseen(part.problem), str(part.problem))
        if applied is not None and applied.outcome is fleets.Outcome.NOT_WRITTEN:
            return Finding(Status.FALSE, applied.outcome, applied.message)
        if part.seen.asked > 0 and part.seen.ready == 0:
            return Finding(Status.FALSE, Reason.NONE_READY, f"none of {name} ({part.target.name}) is ready yet")
        if applied is not None and applied.outcome is fleets.Outcome.WAITS_FOR_DRAINING:
            draining = Finding(Status.TRUE, applied.outcome, applied.message)
    return draining or Finding(Status.TRUE, Reason.AVAILABLE, "replicas that were asked for answer")


def _unseen(problem: errors.AftercallError | None) -> tuple[Status, Reason]:
    match problem:
        case failures.NotFoundError():
            return Status.FALSE, Reason.TARGET_MISSING
        case failures.LastingError():
            return Status.FALSE, Reason.TARGET_REFUSED
    return Status.UNKNOWN, Reason.TARGET_UNKNOWN


def all_of(
    *, valid: Finding, conflict: Finding, backlog: Finding, replicas: Finding
) -> dict[conditions.Type, conditions.Finding]:
    """Return findings by their type."""
    return {
        Type.VALID: valid,
        Type.SCALING_CONFLICT: conflict,
        Type.BACKLOG_KNOWN: backlog,
        Type.REPLICAS_AVAILABLE: replicas,
    }
