"""Our scaling against KEDA over the HPA, Ray Serve's own and one that knows the future, in virtual time.

Every policy is tuned for each cold start on some seeds and compared on others, summed over all traces and cold starts,
once with the flood and once without. Tuned means: of its settings the one with the fewest GPU-hours among those that
keep late calls at or under a share, else the one with the fewest late calls. What each is set to unless told otherwise
is compared too. Every setting is drawn into the plot of the documentation.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import multiprocessing
import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence

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
PLOT = pathlib.Path(__file__).parent.parent / "docs" / "images" / "scaling-pareto.svg"
SIDES = {side.name: side for side in comparison.SIDES}
OURS, KEDA, RAY, ORACLE = SIDES
CUTS = {
    "all traces": tuple(traces.Kind),
    "without the flood": tuple(kind for kind in traces.Kind if kind is not traces.Kind.FLOOD),
}
USUAL = comparison.Plan()
PLANS: dict[str, list[comparison.Plan]] = {
    OURS: [
        comparison.Plan(headroom=headroom, drain_share=drain, stabilization_s=stabilization_s)
        for headroom, drain, stabilization_s in itertools.product(
            (0.0, -0.2, -0.35, -0.5), (0.25, 0.5, 0.75), (60.0, 300.0)
        )
    ],
    KEDA: [
        comparison.Plan(lag_threshold=threshold, stabilization_s=stabilization_s, later_share=later)
        for threshold, stabilization_s, later in itertools.product(
            (2, 4, 8, 12, 15, 18, 21, 25, 30, 40), (0.0, 60.0, 300.0, 1200.0), (0.15, 0.25, 0.5)
        )
    ],
    RAY: [
        comparison.Plan(target_ongoing=target, downscale_delay_s=delay_s)
        for target, delay_s in itertools.product((4, 8, 16, 24, 31), (60.0, 300.0, 600.0))
    ],
    ORACLE: [USUAL],
}
UNTUNED = (
    (OURS, USUAL),
    (OURS, comparison.Plan(headroom=-0.2)),
    (OURS, comparison.Plan(headroom=-0.2, drain_share=0.5)),
    (OURS, comparison.Plan(headroom=-0.35, drain_share=0.5)),
    (KEDA, USUAL),
    (RAY, USUAL),
    (ORACLE, USUAL),
)
"""Set without tuning: what is shipped, and a few others of ours that are the same for every cold start."""
Chosen = Mapping[float, comparison.Plan]
"""A plan for each cold start."""


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """A plan of a policy on one trace, with one cold start."""

    kind: traces.Kind
    seed: int
    name: str
    cold_start_s: float
    plan: comparison.Plan


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """What a plan came to."""

    calls: int
    late: int
    gpu_hours: float
    changes: int


@functools.lru_cache(maxsize=2)
def traced(kind: traces.Kind, seed: int) -> traces.Trace:
    """Return the traffic of a kind and a seed."""
    rng = np.random.default_rng([seed, list(traces.Kind).index(kind)])
    return traces.synthetic(kind, rng, peak_per_s=PEAK * MAX_REPLICAS * CAPACITY_PER_S)


def play(job: Job) -> Score:
    """Play one plan on one trace."""
    world = cluster.World(CAPACITY_PER_S, job.cold_start_s, PROMISE_S, MAX_REPLICAS, TICK_S)
    run = SIDES[job.name].run(traced(job.kind, job.seed), world, job.plan)
    late = sum(each.is_late for each in run.finished)
    return Score(len(run.finished), late, run.gpu_s / 3600, run.changes)


def job_of(name: str, plan: comparison.Plan, cold_start_s: float, kind: traces.Kind, seed: int) -> Job:
    """Return a job; what does not matter to its trace is left out, so that nothing is played twice."""
    if kind is not traces.Kind.BACKFILL:  # nothing else is due later
        plan = dataclasses.replace(plan, later_share=USUAL.later_share)
    return Job(kind, seed, name, cold_start_s, plan)


class Played:
    """Scores of all that was played."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._scores: dict[Job, Score] = {}

    def play(self, wanted: Iterable[tuple[str, comparison.Plan, float]], seeds: Sequence[int]) -> None:
        """Play plans with cold starts on every trace of some seeds, on so many cores."""
        jobs = [
            job_of(name, plan, cold_start_s, kind, seed)
            for kind, seed, (name, plan, cold_start_s) in itertools.product(traces.Kind, seeds, tuple(wanted))
        ]
        left = [job for job in dict.fromkeys(jobs) if job not in self._scores]
        with multiprocessing.Pool(self._processes) as pool:
            self._scores |= zip(left, pool.map(play, left, chunksize=16), strict=True)

    def total(self, name: str, chosen: Chosen, seeds: Sequence[int], kinds: Sequence[traces.Kind]) -> Score:
        """Return the sum of what plans came to, each with its cold start."""
        every = [
            self._scores[job_of(name, plan, cold_start_s, kind, seed)]
            for cold_start_s, plan in chosen.items()
            for kind, seed in itertools.product(kinds, seeds)
        ]
        return Score(
            sum(each.calls for each in every),
            sum(each.late for each in every),
            sum(each.gpu_hours for each in every),
            sum(each.changes for each in every),
        )

    def tuned(self, name: str, kinds: Sequence[traces.Kind], late_share: float) -> Chosen:
        """Return for each cold start the plan with the fewest GPU-hours that keeps the share, else the fewest late."""
        chosen = {}
        for cold_start_s in COLD_STARTS_S:
            sums = [(self.total(name, {cold_start_s: plan}, TUNED_ON, kinds), plan) for plan in PLANS[name]]
            good = [(one.gpu_hours, at) for at, (one, _) in enumerate(sums) if one.late <= late_share * one.calls]
            least = [(one.late, one.gpu_hours, at) for at, (one, _) in enumerate(sums)]
            chosen[cold_start_s] = sums[min(good)[-1] if good else min(least)[-1]][1]
        return chosen


def front(points: Iterable[Score]) -> list[Score]:
    """Return the points that no other beats in both late calls and GPU-hours, fewest hours first."""
    kept: list[Score] = []
    for each in sorted(points, key=lambda one: (one.gpu_hours, one.late)):
        if not kept or each.late < kept[-1].late:
            kept.append(each)
    return kept


def shown(name: str, plan: comparison.Plan) -> str:
    """Say what a plan sets."""
    if name == OURS:
        target_s = plan.drain_share * PROMISE_S
        return f"headroom {plan.headroom:g}, drain target {target_s:.0f} s, window {plan.stabilization_s:.0f} s"
    if name == KEDA:
        equal = "as many calls as a replica does in 150 s"
        threshold = equal if plan.lag_threshold is None else f"{plan.lag_threshold:g} calls"
        return f"{threshold}, later {plan.later_share:g}, window {plan.stabilization_s:.0f} s"
    if name == RAY:
        return f"{plan.target_ongoing:g} windows, {plan.downscale_delay_s:.0f} s before it goes down"
    return "-"


def told(one: Score) -> str:
    """Say what a plan came to."""
    share = one.late / one.calls
    return f"late {one.late:>6} ({share:6.2%})  GPU-hours {one.gpu_hours:7.0f}  changes {one.changes:>6}"


def beside(one: Score, two: Score) -> str:
    """Say what share of another's late calls and GPU-hours ours has."""
    late = f"{one.late / two.late:.0%}" if two.late else f"{one.late} against none"
    return f"late {late}, GPU-hours {one.gpu_hours / two.gpu_hours:.1%}"


def report(played: Played, cut: str, title: str, rows: Mapping[str, Chosen]) -> None:
    """Print what policies came to on the seeds of the comparison, by cold start and by trace."""
    kinds = CUTS[cut]
    print(f"\n{cut}, {title}; on seeds {COMPARED_ON}")
    sums = {name: played.total(name, chosen, COMPARED_ON, kinds) for name, chosen in rows.items()}
    for name, chosen in rows.items():
        print(f"  {name:<13}        {told(sums[name])}")
        for cold_start_s, plan in chosen.items():
            one = played.total(name, {cold_start_s: plan}, COMPARED_ON, kinds)
            print(f"    cold start {cold_start_s:>3.0f} s  {told(one)}  {shown(name, plan)}")
        for kind in kinds:
            print(f"    {kind:<16}  {told(played.total(name, chosen, COMPARED_ON, (kind,)))}")
    for name in rows:
        if name != OURS:
            print(f"  {OURS} beside {name}: {beside(sums[OURS], sums[name])}")


def compare(plot: pathlib.Path, processes: int) -> None:
    """Tune, compare, print and draw."""
    began = time.perf_counter()
    played = Played(processes)
    every = [(name, plan, cold) for name, plans in PLANS.items() for plan in plans for cold in COLD_STARTS_S]
    played.play(every, TUNED_ON)
    many = ", ".join(f"{len(plans)} of {name}" for name, plans in PLANS.items())
    print(f"settings: {many}; seeds {TUNED_ON}, {len(traces.Kind)} traces, cold starts {COLD_STARTS_S}")
    chosen = {
        (cut, late_share): {name: played.tuned(name, CUTS[cut], late_share) for name in PLANS}
        for cut, late_share in itertools.product(CUTS, LATE_SHARES)
    }
    wanted = {
        (name, plan, cold) for rows in chosen.values() for name, by in rows.items() for cold, plan in by.items()
    } | {(name, plan, cold) for name, plan in UNTUNED for cold in COLD_STARTS_S}
    played.play(sorted(wanted, key=repr), COMPARED_ON)
    for cut in CUTS:
        print(f"\n{cut}, the same for every cold start; on seeds {COMPARED_ON}")
        for name, plan in UNTUNED:
            print(f"  {name:<13} {shown(name, plan)}")
            by_cold = dict.fromkeys(COLD_STARTS_S, plan)
            print(f"    {'all':<16}  {told(played.total(name, by_cold, COMPARED_ON, CUTS[cut]))}")
            for cold_start_s in COLD_STARTS_S:
                one = played.total(name, {cold_start_s: plan}, COMPARED_ON, CUTS[cut])
                print(f"    cold start {cold_start_s:>3.0f} s  {told(one)}")
        for late_share in LATE_SHARES:
            report(played, cut, f"tuned to at most {late_share:.1%} late", chosen[cut, late_share])
    draw(played, plot)
    print(f"\nwrote {plot}; {time.perf_counter() - began:.0f} s")


def draw(played: Played, file: pathlib.Path) -> None:
    """Draw late calls over GPU-hours for each cold start, each policy's front as a line."""
    pyplot = page.pyplot()
    pyplot.rcParams["svg.hashsalt"] = "scaling"  # the same figures are the same file
    figure, grid = pyplot.subplots(len(CUTS), len(COLD_STARTS_S), figsize=(13, 6), sharey=True)
    for (row, (cut, kinds)), (column, cold) in itertools.product(enumerate(CUTS.items()), enumerate(COLD_STARTS_S)):
        axes = grid[row][column]
        for name, plans in PLANS.items():
            each = [played.total(name, {cold: plan}, TUNED_ON, kinds) for plan in plans]
            best = front(each)
            dots = axes.scatter(
                [one.gpu_hours for one in each],
                [100 * one.late / one.calls for one in each],
                s=30 if name == ORACLE else 5,
                marker="*" if name == ORACLE else "o",
            )
            axes.step(
                [one.gpu_hours for one in best],
                [100 * one.late / one.calls for one in best],
                where="post",
                linewidth=1,
                color=dots.get_facecolor()[0],
                label=name,
            )
        axes.set_title(f"{cut}, cold start {cold:.0f} s", fontsize=9)
        axes.set_yscale("symlog", linthresh=0.1)
        axes.set_ylim(bottom=-0.01)
        axes.set_xscale("log")
        axes.set_xlabel("GPU-hours")
        axes.set_ylabel("" if column else "late calls, %")
    grid[0][0].legend(fontsize=8)
    file.write_text(page.svg(figure), encoding="utf-8")


def main() -> None:
    """Compare."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--plot", type=pathlib.Path, default=PLOT, help="where the plot is written")
    arguments.add_argument("--processes", type=int, default=None, help="how many play at once; else one for each core")
    asked = arguments.parse_args()
    compare(asked.plot, asked.processes)


if __name__ == "__main__":
    main()
