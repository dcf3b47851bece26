"""One engine behind whatever forms batches: in this process, in Triton, in Ray.

What is given together runs together as far as its buckets allow, one engine call a bucket. A batch that fails is run
again row by row, so that a window that cannot be decoded hurts only itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from aftercall.contracts import errors, windows
from aftercall.serve import wire


class Engine(Protocol):
    """A loaded model; every call but `info` may block."""

    @property
    def info(self) -> windows.BackendInfo:
        """Which model answers."""
        ...

    def warm_up(self) -> None:
        """Make the first real batch as fast as the others."""
        ...

    def bucket(self, window: windows.Window) -> Hashable:
        """Return what windows of one batch have in common, or raise for a window that none can serve."""
        ...

    def transcribe(self, batch: Sequence[windows.Window]) -> list[windows.WindowResult]:
        """Transcribe windows of one bucket."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: its head and its samples."""

    head: bytes
    pcm: bytes


def run(engine: Engine, batch: Sequence[windows.Window]) -> list[windows.WindowResult | Exception]:
    """Transcribe windows of one bucket; each gets its own result or its own error, in the order of the batch."""
    try:
        return list(_checked(engine, batch))
    except Exception as exc:
        if len(batch) == 1:
            return [exc if isinstance(exc, errors.AftercallError) else wire.engine_failure(exc)]
    return [one for window in batch for one in run(engine, [window])]


def serve(
    engine: Engine, requests: Sequence[Request], *, on_batch: Callable[[int], None] = lambda _: None
) -> list[bytes]:
    """Answer requests that were put together, in their order; `on_batch(n)` hears of each engine call's windows."""
    answers: dict[int, bytes] = {}
    buckets: dict[Hashable, list[tuple[int, windows.Window]]] = {}
    for at, request in enumerate(requests):
        try:
            window = wire.read_request(request.head, request.pcm)
            if window is None:
                answers[at] = wire.answer(engine.info)
            else:
                buckets.setdefault(engine.bucket(window), []).append((at, window))
        except errors.AftercallError as exc:
            answers[at] = wire.answer(exc)
    for members in buckets.values():
        on_batch(len(members))
        told = run(engine, [window for _, window in members])
        answers |= {at: wire.answer(one) for (at, _), one in zip(members, told, strict=True)}
    return [answers[at] for at in range(len(requests))]


def _checked(engine: Engine, batch: Sequence[windows.Window]) -> list[windows.WindowResult]:
    results = engine.transcribe(batch)
    if [result.window_id for result in results] != [window.window_id for window in batch]:
        raise RuntimeError("the engine answered other windows than it was asked")
    return results
