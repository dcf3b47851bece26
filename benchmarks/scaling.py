"""Our scaling against KEDA over the HPA, Ray Serve's own and one that knows the future, in virtual time.

Every policy is tuned on some seeds and compared on others, summed over all traces and cold starts. Tuned means: of its
settings the one with the fewest GPU-hours among those that keep late calls at or under a share; Pareto fronts of all
settings are printed too, and drawn with --plot.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import multiprocessing
import pathlib
import time
from collections.abc import Iterable, Sequence

import numpy as np

from aftercall.cli import page
from aftercall.operator.simulator import cluster, comparison, traces

CAPACITY_PER_S = 50.0
MAX_REPLICAS = 20
PEAK = 0.6
COLD_STARTS_S = (15.0, 60.0, 180.0, 600.0)
PROMISE_S = 600.0
TICK_S = 2.0
LATE_SHARES = (0.001, 0.01, 0.05)
TUNED_ON, COMPARED_ON = (1, 2), (11, 12, 13)
SIDES = {side.name: side for side in comparison.SIDES}
PLANS: dict[str, list[comparison.Plan]] = {
    "aftercall": [
        comparison.Plan(
            headroom=headroom, drain_share=drain, stabilization_s=stabilization_s, time_constant_s=time_constant_s
        )
        for headroom, drain, stabilization_s, time_constant_s in itertools.product(
            (0.0, -0.15, -0.3, -0.5), (0.25, 0.5), (60.0, 300.0), (60.0, 180.0)
        )
    ],
    "KEDA and HPA": [
        comparison.Plan(lag_threshold=threshold, stabilization_s=stabilization_s)
        for threshold, stabilization_s in itertools.product(
            (2, 4, 8, 12, 15, 18, 21, 25, 30, 40), (0.0, 60.0, 300.0, 1200.0)
        )
    ],
    "Ray Serve": [comparison.Plan(target_ongoing=target) for target in (4, 8, 16, 24, 31)],
    "oracle": [comparison.Plan()],
}


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """What a plan came to on one trace with one cold start."""

    kind: str
    calls: int
    late: int
    gpu_hours: float
    changes: int


@functools.lru_cache
def traced(kind: traces.Kind, seed: int) -> traces.Trace:
    """Return the traffic of a kind and a seed."""
    rng = np.random.default_rng([seed, list(traces.Kind).index(kind)])
    return traces.synthetic(kind, rng, peak_per_s=PEAK * MAX_REPLICAS * CAPACITY_PER_S)


def play(job: tuple[str, comparison.Plan, int]) -> list[Score]:
    """Play one plan on every trace of a seed, with every cold start."""
    name, plan, seed = job
    side, found = SIDES[name], []
    for kind, cold_start_s in itertools.product(traces.Kind, COLD_STARTS_S):
        trace = traced(kind, seed)
        world = cluster.World(CAPACITY_PER_S, cold_start_s, PROMISE_S, MAX_REPLICAS, TICK_S)
        run = cluster.run(trace, side.build(trace, world, plan), world, interval_s=side.interval_s)
        late = sum(each.is_late for each in run.finished)
        found.append(Score(str(kind), len(run.finished), late, run.gpu_s / 3600, run.changes))
    return found


def total(scores: Iterable[Score], *, without: str | None = None) -> Score:
    """Return the sum of scores."""
    kept = [each for each in scores if each.kind != without]
    return Score(
        "all",
        sum(each.calls for each in kept),
        sum(each.late for each in kept),
        sum(each.gpu_hours for each in kept),
        sum(each.changes for each in kept),
    )


def play_all(jobs: Sequence[tuple[str, comparison.Plan]], seeds: Sequence[int]) -> list[list[Score]]:
    """Play plans on seeds, on every core."""
    every = [(name, plan, seed) for name, plan in jobs for seed in seeds]
    with multiprocessing.Pool() as pool:
        found = pool.map(play, every, chunksize=1)
    return [list(itertools.chain(*found[at : at + len(seeds)])) for at in range(0, len(found), len(seeds))]


def front(points: Iterable[Score]) -> list[Score]:
    """Return the points that no other beats in both late calls and GPU-hours, fewest hours first."""
    kept: list[Score] = []
    for each in sorted(points, key=lambda one: (one.gpu_hours, one.late)):
        if not kept or each.late < kept[-1].late:
            kept.append(each)
    return kept


def tuned(name: str, scores: Sequence[list[Score]], late_share: float) -> comparison.Plan:
    """Return the plan with the fewest GPU-hours of those that keep the share, or the one with the fewest late calls."""
    sums = [total(each) for each in scores]
    good = [at for at, one in enumerate(sums) if one.late <= late_share * one.calls]
    best = (
        min(good, key=lambda at: sums[at].gpu_hours)
        if good
        else min(range(len(sums)), key=lambda at: (sums[at].late, sums[at].gpu_hours))
    )
    return PLANS[name][best]


def shown(name: str, plan: comparison.Plan) -> str:
    """Say what a plan sets."""
    match name:
        case "aftercall":
            return (
                f"headroom {plan.headroom:g}, drain {plan.drain_share:g}, {plan.stabilization_s:.0f} s,"
                f" {plan.time_constant_s:.0f} s"
            )
        case "KEDA and HPA":
            return f"lag threshold {plan.lag_threshold:g}, {plan.stabilization_s:.0f} s"
        case "Ray Serve":
            return f"target {plan.target_ongoing:g}"
        case _:
            return ""


def compare(plot: pathlib.Path | None) -> None:
    """Tune, compare, and print."""
    began = time.perf_counter()
    jobs = [(name, plan) for name, plans in PLANS.items() for plan in plans]
    scored = play_all(jobs, TUNED_ON)
    by_name = {name: [scores for (of, _), scores in zip(jobs, scored, strict=True) if of == name] for name in PLANS}
    print(f"{len(jobs)} plans, seeds {TUNED_ON}, {len(traces.Kind)} traces, cold starts {COLD_STARTS_S}")
    for name, scores in by_name.items():
        points = ", ".join(f"{one.gpu_hours:.0f}: {one.late / one.calls:.2%}" for one in front(map(total, scores)))
        print(f"  Pareto of {name} (GPU-hours: late) {points}")
    chosen = {
        late_share: [(name, tuned(name, by_name[name], late_share)) for name in PLANS] for late_share in LATE_SHARES
    }
    once = list(dict.fromkeys(itertools.chain(*chosen.values())))
    found = dict(zip(once, play_all(once, COMPARED_ON), strict=True))
    for late_share, pairs in chosen.items():
        print(f"\ntuned to at most {late_share:.1%} late; on seeds {COMPARED_ON}")
        for name, plan in pairs:
            scores = found[name, plan]
            one, rest = total(scores), total(scores, without=traces.Kind.FLOOD)
            print(
                f"  {name:<13} late {one.late:>6} ({one.late / one.calls:6.2%})  GPU-hours {one.gpu_hours:7.0f}"
                f"  changes {one.changes:>6}  | without the flood: late {rest.late:>6}, {rest.gpu_hours:6.0f}"
                f"  ({shown(name, plan)})"
            )
            for kind in traces.Kind:
                of = total(each for each in scores if each.kind == kind)
                print(f"    {kind:<12} late {of.late:>6}  GPU-hours {of.gpu_hours:7.0f}  changes {of.changes:>6}")
    if plot is not None:
        draw({name: [total(each) for each in scores] for name, scores in by_name.items()}, plot)
    print(f"\n{time.perf_counter() - began:.0f} s")


def draw(points: dict[str, list[Score]], file: pathlib.Path) -> None:
    """Draw late calls over GPU-hours, each policy's front as a line."""
    figure, axes = page.pyplot().subplots(figsize=(8, 4))
    for name, each in points.items():
        dots = axes.scatter([one.gpu_hours for one in each], [100 * one.late / one.calls for one in each], s=8)
        best = front(each)
        axes.step(
            [one.gpu_hours for one in best],
            [100 * one.late / one.calls for one in best],
            where="post",
            linewidth=1,
            color=dots.get_facecolor()[0],
            label=name,
        )
    axes.set_xlabel("GPU-hours, all traces and cold starts")
    axes.set_ylabel("late calls, %")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_xscale("log")
    axes.legend()
    file.write_text(page.svg(figure), encoding="utf-8")


def main() -> None:
    """Compare."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--plot", type=pathlib.Path)
    compare(arguments.parse_args().plot)


if __name__ == "__main__":
    main()
