"""A simulation as a table's cells, and as a page with plots."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping
from typing import Any

from aftercall.cli import page
from aftercall.operator.simulator import cluster, comparison, results, traces

_WAITS = ("calls", "late", "wait p50", "wait p95")
TENANT_HEADS = ("tenant", *_WAITS)
"""Headings of the tenants' table."""


def about(trace: traces.Trace, world: cluster.World) -> list[str]:
    """Say in a few sentences what was played."""
    hours = trace.audio_s / world.capacity_per_s / 3600
    said = [
        f"{trace.name}: {_many(len(trace.calls), 'call')} of {_many(len(trace.tenants), 'tenant')} in"
        f" {trace.duration_s / 3600:.1f} h,"
        f" due in {world.promise_s:.0f} s; replicas of {world.capacity_per_s:g} audio-seconds a second,"
        f" {world.cold_start_s:.0f} s from asking to work, at most {world.max_replicas}."
        f" The work alone takes {hours:.1f} GPU-hours."
    ]
    for name, tenant in trace.tenants.items():
        if tenant.promise_s is not None:
            said.append(f"{name}: due in {tenant.promise_s:.0f} s.")
        if tenant.limit_per_s is not None:
            said.append(
                f"{name}: held to its limit of {60 * tenant.limit_per_s:.0f} audio-seconds a minute;"
                " what that makes late is promised nothing."
            )
    return said


def settings(trace: traces.Trace, world: cluster.World, plan: comparison.Plan) -> dict[str, str]:
    """Say what each policy was set to."""
    threshold = comparison.thresholds(trace, world, plan)
    source = "as many as a replica does within that drain target" if plan.lag_threshold is None else "as asked for"
    later = "" if threshold.later is None else f", of what is due later {threshold.later:g} by a trigger of its own"
    least = f"at least {plan.min_replicas}"
    return {
        "aftercall": f"headroom {plan.headroom:g}, drain target {plan.drain_share * world.promise_s:.0f} s,"
        f" stabilization {plan.stabilization_s:.0f} s, {least}",
        "KEDA and HPA": f"{threshold.usual:g} calls a replica ({source}){later},"
        f" stabilization {plan.stabilization_s:.0f} s, {least}",
        "Ray Serve": f"{plan.target_ongoing:g} windows a replica, {plan.windows_in_flight} in flight for each of"
        f" {world.max_replicas} consumers, {plan.downscale_delay_s:.0f} s before replicas go, {least}",
        "oracle": "knows what will come: the fewest late calls first, then the fewest GPU-hours; its first replicas are"
        f" asked for before the first call, and paid; {least}",
    }


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def heads(*, with_cost: bool) -> list[str]:
    """Return the headings of the policies' table."""
    found = ["policy", *_WAITS, "GPU-hours", "changes"]
    return [*found, "cost"] if with_cost else found


def cells(result: results.Result, *, with_cost: bool) -> list[str]:
    """Return a policy's row."""
    found = [result.policy, *cells_of_waits(result.waits), f"{result.gpu_hours:.1f}", str(result.changes)]
    return [*found, f"{result.cost:.2f}"] if with_cost else found


def cells_of_waits(waits: results.Waits) -> list[str]:
    """Return calls, late ones, and waits."""
    shown = [page.UNKNOWN if each is None else f"{each:.0f} s" for each in (waits.p50_s, waits.p95_s)]
    return [str(waits.calls), f"{waits.late} ({waits.late / (waits.calls or 1):.1%})", *shown]


def write(
    trace: traces.Trace,
    world: cluster.World,
    plan: comparison.Plan,
    found: Mapping[str, tuple[results.Result, cluster.Run]],
    *,
    made_at: datetime.datetime,
) -> str:
    """Write the page."""
    with_cost = any(result.cost for result, _ in found.values())
    parts = [f"<p>{html.escape(said)}</p>" for said in about(trace, world)]
    parts.append(page.table(heads(with_cost=with_cost), [cells(one, with_cost=with_cost) for one, _ in found.values()]))
    parts.append(page.table(("policy", "played with"), settings(trace, world, plan).items()))
    parts += _plots(trace, world, found)
    for result, _ in found.values():
        rows = [[name, *cells_of_waits(waits)] for name, waits in result.tenants.items()]
        parts.append(f"<h2>{html.escape(result.policy)}, by tenant</h2>")
        parts.append(page.table(TENANT_HEADS, rows))
    return page.write(f"Simulation of {trace.name}", parts, made_at=made_at)


def _plots(
    trace: traces.Trace, world: cluster.World, found: Mapping[str, tuple[results.Result, cluster.Run]]
) -> list[str]:
    pyplot = page.pyplot()
    plots = []
    figure, axes = pyplot.subplots(figsize=(9, 3.5))
    width_s = max(300.0, trace.duration_s / 200)
    arriving = [0.0] * (int(trace.duration_s / width_s) + 1)
    for call in trace.calls:
        arriving[int(call.at_s / width_s)] += call.audio_s / width_s / world.capacity_per_s
    axes.fill_between(
        [at * width_s / 3600 for at in range(len(arriving))],
        arriving,
        step="post",
        alpha=0.2,
        label="work that arrives",
    )
    for result, run in found.values():
        hours = [at_s / 3600 for at_s, _, _ in run.replicas]
        (line,) = axes.step(
            hours, [ready for _, _, ready in run.replicas], where="post", linewidth=1, label=result.policy
        )
        asked = [asked for _, asked, _ in run.replicas]
        axes.step(hours, asked, where="post", linewidth=0.8, linestyle=":", color=line.get_color())
    axes.set_xlabel("hours")
    axes.set_ylabel("replicas that work; dotted: asked for, and paid")
    _legend_above(axes)
    plots.append(page.svg(figure))
    figure, axes = pyplot.subplots(figsize=(9, 3.5))
    for result, run in found.values():
        waited = sorted(each.waited_s for each in run.finished)
        axes.plot(waited, [100 * (at + 1) / len(waited) for at in range(len(waited))], linewidth=1, label=result.policy)
    axes.axvline(world.promise_s, linewidth=0.8, linestyle="--", color="#888")
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds from event to transcript")
    axes.set_ylabel("% of calls")
    _legend_above(axes)
    plots.append(page.svg(figure))
    return plots


def _legend_above(axes: Any) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=5, frameon=False)
