"""One that knows what will come: a plan of replicas for the whole of a trace, made before it begins.

What has come and what is due, both summed up over time, are two walls; what is done must stay between them, and the
shortest way between them (the taut string) is the one with the fewest changes of speed and the least speed at its
fastest. Replicas are whole, so that the way is followed by the whole numbers next to its speed, for as long as they
stay between the walls. Replicas that would be missed for less than a cold start stay: to go and come back costs more.
They are asked for a cold start before they are needed, the first ones before the trace begins.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from aftercall.operator.simulator import cluster, traces

STEP_S = 10.0
"""From one number of a plan to the next: as often as it is looked at."""


_SOON = 6
"""Steps for which fewer replicas than the way has must do, before they are too few."""
SHARES = (0.85, 0.7, 0.5, 0.35, 0.2, 0.1)
"""Of each promise: how late a plan may do what comes. Consumers share time out in their own order: that needs slack."""


class Planned:
    """A plan that aims at a share of each promise, followed in time."""

    def __init__(self, trace: traces.Trace, world: cluster.World, *, share: float, min_replicas: int = 0) -> None:
        self._cold_start_s = world.cold_start_s
        self._min = min_replicas
        self._needed = plan(trace, world, share=share, min_replicas=min_replicas)

    def __call__(self, view: cluster.View) -> int:
        """Return the replicas that are needed now or within a cold start."""
        first = max(0, math.floor(view.now_s / STEP_S + 1e-9))
        last = math.floor((view.now_s + self._cold_start_s) / STEP_S + 1e-9)
        rest = max(self._min, min(1, view.waiting_calls))  # what consumers shared out otherwise than planned
        return max(self._needed[first : last + 2], default=rest)


def best(trace: traces.Trace, world: cluster.World, *, min_replicas: int) -> Planned:
    """Return the plan with the fewest late calls of several, and of those the one with the fewest GPU-hours."""
    plans = [Planned(trace, world, share=share, min_replicas=min_replicas) for share in SHARES]

    def came_to(each: Planned) -> tuple[int, float]:
        run = cluster.run(trace, each, world, interval_s=STEP_S, early_s=world.cold_start_s)
        return sum(one.is_late for one in run.finished), run.gpu_s

    return min(plans, key=came_to)


def plan(trace: traces.Trace, world: cluster.World, *, share: float, min_replicas: int) -> list[int]:
    """Return how many replicas are to work in each step of a trace, and until all of it is done."""
    came, due = _walls(trace, world, share)
    step_audio_s = world.capacity_per_s * STEP_S
    longest_s = max([world.promise_s, *(each.promise_s or 0.0 for each in trace.tenants.values())])
    ahead = math.ceil((share * longest_s + 2 * world.cold_start_s + 600) / STEP_S)
    steps = np.arange(1, ahead + 1)
    needed: list[int] = []
    done, working = 0.0, min_replicas
    while done < came[-1] - 1e-6 or len(needed) < math.ceil(trace.duration_s / STEP_S):
        at = len(needed) + 1
        most = (_part(came, at, ahead) - done) / step_audio_s
        least = (_part(due, at, ahead) - done) / step_audio_s
        working = max(min_replicas, min(world.max_replicas, _speed(least, most, steps, working)))
        needed.append(working)
        done = max(done, min(done + working * step_audio_s, came[min(at, len(came) - 1)]))
    return _kept(needed, math.ceil(world.cold_start_s / STEP_S))


_Wall = npt.NDArray[np.float64]


def _walls(trace: traces.Trace, world: cluster.World, share: float) -> tuple[_Wall, _Wall]:
    """Return the audio-seconds that have come, and those that are due, by the end of each step.

    What a limit holds back comes when it is let through. Where that is barely in time it is due at once, and so is all
    else meanwhile: a limit that was not used is lost. Where it is too late nothing is promised, and a share of the
    promise is given once more.
    """
    at_s = np.array([call.at_s for call in trace.calls])
    through_s = np.array(trace.through_s())
    promise_s = np.array([trace.tenants[call.tenant].promise_s or world.promise_s for call in trace.calls])
    is_late = through_s > at_s + promise_s
    due_s = np.where(is_late, through_s, at_s) + share * promise_s
    is_tight = through_s > due_s
    due_s = np.where(is_tight, through_s, due_s)
    if is_tight.any():
        spans = zip(at_s[is_tight], through_s[is_tight], strict=True)
        hurried = np.unique(np.concatenate([_steps(*each) for each in spans]))
        following = np.append(hurried, np.inf)[np.searchsorted(hurried, np.floor(at_s / STEP_S))] * STEP_S
        due_s = np.where(is_late, due_s, np.minimum(due_s, np.maximum(through_s, following)))
    audio_s = np.array([call.audio_s for call in trace.calls])
    many = math.ceil(max(trace.duration_s, due_s.max(initial=0.0)) / STEP_S) + 2
    walls: list[_Wall] = []
    for rounded in (np.ceil(through_s / STEP_S), np.floor(due_s / STEP_S)):  # in doubt it came later, and is due sooner
        walls.append(np.cumsum(np.bincount(rounded.astype(int), weights=audio_s, minlength=many)).astype(np.float64))
    came, due = walls
    return came, np.minimum(due, came).astype(np.float64)


def _steps(from_s: float, until_s: float) -> npt.NDArray[np.float64]:
    return np.arange(math.floor(from_s / STEP_S), math.ceil(until_s / STEP_S), dtype=np.float64)


def _part(wall: _Wall, at: int, many: int) -> _Wall:
    found = wall[at : at + many]
    return found if len(found) == many else np.concatenate([found, np.full(many - len(found), wall[-1])])


def _speed(least: _Wall, most: _Wall, steps: npt.NDArray[np.int64], working: int) -> int:
    """Return a whole number next to the speed of the shortest way: the one that there is while it can stay."""
    lows, highs = np.maximum.accumulate(least / steps), np.minimum.accumulate(most / steps)
    crossed = np.flatnonzero(lows > highs)
    if len(crossed):
        at = int(crossed[0])
        is_due = at == 0 or lows[at] > lows[at - 1]
        speed = highs[at - 1] if is_due and at else lows[at] if is_due else lows[at - 1]
    else:
        speed = lows[-1]
    above = math.ceil(float(speed) - 1e-9)
    below = max(0, above - 1)
    is_ahead = working > above or (working == above and bool(most[0] <= above))  # one would idle
    return below if (is_ahead or working == below) and _lasts(least, steps, below) else above


def _lasts(least: _Wall, steps: npt.NDArray[np.int64], replicas: int) -> bool:
    """Return whether so many do for the next steps."""
    return bool(np.all(replicas * steps[:_SOON] >= least[:_SOON]))


def _kept(needed: list[int], steps: int) -> list[int]:
    """Return a plan without dips that are shorter than so many steps."""
    if steps < 1:
        return needed
    plan = np.array(needed)
    size = steps + 1
    padded = np.concatenate([np.full(size - 1, plan[0]), plan, np.full(size - 1, plan[-1])])
    widened = np.lib.stride_tricks.sliding_window_view(padded, size).max(axis=1)
    return [int(each) for each in np.lib.stride_tricks.sliding_window_view(widened, size).min(axis=1)]
