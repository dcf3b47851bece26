"""`aftercall simulate`: what a pool would have cost and promised, before anything is bought."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import pathlib
from typing import Annotated, Any

import numpy as np
import rich.table
import typer

from aftercall.cli import clock, screen, simulation_page
from aftercall.contracts import errors
from aftercall.operator.simulator import cluster, comparison, results, traces

_PLAN = comparison.Plan()
_LONGEST_REST_S = 7 * 86_400.0
"""Seconds after the last call in which the rest has to be done."""


def simulate(
    traffic: Annotated[
        str,
        typer.Argument(help=f"{', '.join(traces.Kind)}, or a CSV file with the columns at_s, tenant and audio_s."),
    ] = traces.Kind.DIURNAL,
    capacity: Annotated[
        float, typer.Option("--capacity", min=0.001, help="Audio-seconds a second of one replica: measure it.")
    ] = 100.0,
    cold_start_s: Annotated[
        float, typer.Option("--cold-start", min=0, help="Seconds from asking for a replica to its first work.")
    ] = 180.0,
    promise_s: Annotated[float, typer.Option("--promise", min=1, help="Seconds in which a transcript is due.")] = 600.0,
    min_replicas: Annotated[int, typer.Option("--min", min=0, help="Replicas that always stay.")] = 1,
    max_replicas: Annotated[int, typer.Option("--max", min=1, help="Replicas at most.")] = 20,
    peak: Annotated[
        float | None, typer.Option("--peak", min=0.001, help="Replicas that synthetic traffic keeps busy at its peak.")
    ] = None,
    hours: Annotated[float, typer.Option("--hours", min=0.1, max=168, help="Length of synthetic traffic.")] = 6.0,
    seed: Annotated[int, typer.Option("--seed", help="Of synthetic traffic.")] = 1,
    headroom: Annotated[
        float,
        typer.Option(
            "--headroom",
            min=-0.5,
            max=0.9,
            help="Share of a replica that is kept free; below 0, what waits asks for more.",
        ),
    ] = _PLAN.headroom,
    drain_share: Annotated[
        float, typer.Option("--drain", min=0.01, max=1, help="Drain target, as a share of the promise.")
    ] = _PLAN.drain_share,
    stabilization_s: Annotated[
        float, typer.Option("--stabilization", min=0, help="Seconds before replicas go, ours and the HPA's.")
    ] = _PLAN.stabilization_s,
    lag_threshold: Annotated[
        float | None,
        typer.Option(
            "--lag-threshold",
            min=0.01,
            help="KEDA's: calls that wait for each replica; else as many as one does within the drain target.",
        ),
    ] = _PLAN.lag_threshold,
    due: Annotated[
        list[str] | None,
        typer.Option("--due", help="A tenant whose calls may take longer, and in how many seconds: evergreen=14400."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", help="A tenant's limit, in audio-seconds a minute: floodgate=3600."),
    ] = None,
    price: Annotated[float, typer.Option("--price", min=0, help="Of a replica's hour, in your currency.")] = 0.0,
    html: Annotated[
        pathlib.Path | None, typer.Option("--html", dir_okay=False, help="Write a page with tables and plots.")
    ] = None,
    out: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--json", dir_okay=False, allow_dash=True, help="Write the figures; - prints them, and no tables."
        ),
    ] = None,
) -> None:
    """Play a day of calls against this operator's policy, KEDA's over the HPA, Ray Serve's own and one that knows.

    Nothing is started or asked: time is virtual. A call is late when its transcript comes later than promised after its
    event; what a tenant's own limit makes late is promised nothing.

    Example: aftercall simulate monday --capacity 120 --cold-start 300 --price 0.8 --html monday.html
    """
    if min_replicas > max_replicas:
        raise typer.BadParameter(f"--min {min_replicas} is over --max {max_replicas}")
    trace = _trace(traffic, seed=seed, hours=hours, peak_per_s=(peak or 0.6 * max_replicas) * capacity)
    trace = _with_terms(trace, _named("--due", due), _named("--limit", limit))
    _refuse_hopeless(trace, capacity * max_replicas)
    world = cluster.World(capacity, cold_start_s, promise_s, max_replicas, tick_s=_tick_s(trace))
    plan = comparison.Plan(
        min_replicas=min_replicas,
        headroom=headroom,
        drain_share=drain_share,
        stabilization_s=stabilization_s,
        lag_threshold=lag_threshold,
        price_per_hour=price,
    )
    found = comparison.play(trace, world, plan)
    told = {name: result for name, (result, _) in found.items()}
    figures = json.dumps(_plain(trace, world, plan, told), indent=1)
    if str(out) == "-":
        typer.echo(figures)
    else:
        _print(trace, world, plan, told, with_cost=price > 0)
    if html is not None:
        _write(html, simulation_page.write(trace, world, plan, found, made_at=clock.utc_now()))
    if out is not None and str(out) != "-":
        _write(out, figures + "\n")


def _plain(
    trace: traces.Trace, world: cluster.World, plan: comparison.Plan, told: dict[str, results.Result]
) -> dict[str, Any]:
    """Return what was played and what came of it, as JSON has it."""
    traffic = {
        "name": trace.name,
        "calls": len(trace.calls),
        "audio_s": trace.audio_s,
        "duration_s": trace.duration_s,
        "tenants": {name: dataclasses.asdict(each) for name, each in trace.tenants.items()},
    }
    policies = {name: dataclasses.asdict(one) | {"late_share": one.late_share} for name, one in told.items()}
    return {
        "traffic": traffic,
        "world": dataclasses.asdict(world),
        "plan": dataclasses.asdict(plan),
        "settings": simulation_page.settings(trace, world, plan),
        "policies": policies,
    }


def _write(file: pathlib.Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise errors.ConfigurationError(f"{file} cannot be written: {exc.strerror}") from exc
    typer.echo(f"wrote {file}", err=True)


def _named(option: str, given: list[str] | None) -> dict[str, float]:
    """Return what was given of tenants by name."""
    found = {}
    for each in given or ():
        name, _, value = each.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            found[name] = -1.0
        if not (name and 0 < found[name] < math.inf):
            raise typer.BadParameter(f"{option} {each}: a tenant and a number over 0, as acme=3600")
    return found


def _with_terms(trace: traces.Trace, due_s: dict[str, float], per_minute: dict[str, float]) -> traces.Trace:
    """Return a trace whose tenants have these promises and limits."""
    tenants = dict(trace.tenants)
    for name in (*due_s, *per_minute):
        if name not in tenants:
            raise typer.BadParameter(f"{name} is no tenant of {trace.name}: {', '.join(tenants)}")
    for name, each in due_s.items():
        tenants[name] = dataclasses.replace(tenants[name], promise_s=each)
    for name, each in per_minute.items():
        tenants[name] = dataclasses.replace(tenants[name], limit_per_s=each / 60)
    return dataclasses.replace(trace, tenants=tenants)


def _refuse_hopeless(trace: traces.Trace, per_s: float) -> None:
    """Refuse what would be played until the end of time: it ends once all work is done."""
    alone_s = trace.audio_s / per_s
    through_s = max(trace.through_s()) - trace.duration_s
    if alone_s > trace.duration_s + _LONGEST_REST_S:
        raise errors.ConfigurationError(
            f"{trace.name}: its {trace.audio_s:.0f} audio-seconds take all replicas {alone_s / 86_400:.1f} days;"
            " see --capacity, in audio-seconds a second of one replica, and --max"
        )
    if through_s > _LONGEST_REST_S:
        raise errors.ConfigurationError(
            f"{trace.name}: limits let the last of it through {through_s / 86_400:.1f} days after it came; see --limit"
        )


def _trace(traffic: str, *, seed: int, hours: float, peak_per_s: float) -> traces.Trace:
    if traffic in set(traces.Kind):
        rng = np.random.default_rng(seed)
        return traces.synthetic(traces.Kind(traffic), rng, peak_per_s=peak_per_s, hours=hours)
    file = pathlib.Path(traffic)
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return traces.read_csv(lines, name=file.name)
    except FileNotFoundError as exc:
        near = difflib.get_close_matches(traffic, list(traces.Kind), 1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(traces.Kind)}, or a CSV file's path"
        raise errors.ConfigurationError(f"no traffic and no file is named {traffic}; {meant}") from exc
    except OSError as exc:
        raise errors.ConfigurationError(f"{traffic} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise errors.ConfigurationError(f"{traffic} is no text in UTF-8: {exc.reason}") from exc


def _tick_s(trace: traces.Trace) -> float:
    """Return a tick that a look of 10 s is a multiple of: a second up to a day, longer for longer traces."""
    return 1.0 if trace.duration_s <= 86_400 else 5.0


def _print(
    trace: traces.Trace,
    world: cluster.World,
    plan: comparison.Plan,
    told: dict[str, results.Result],
    *,
    with_cost: bool,
) -> None:
    console = screen.wide()
    for said in simulation_page.about(trace, world):
        console.print(said)
    table = rich.table.Table()
    for at, head in enumerate(simulation_page.heads(with_cost=with_cost)):
        table.add_column(head, justify="right" if at else "left")
    for result in told.values():
        table.add_row(*simulation_page.cells(result, with_cost=with_cost))
    console.print(table)
    for name, played_with in simulation_page.settings(trace, world, plan).items():
        console.print(f"{name}: {played_with}.")
    first = next(iter(told.values()))
    tenants = rich.table.Table(title=f"{first.policy}, by tenant", title_justify="left")
    for at, head in enumerate(simulation_page.TENANT_HEADS):
        tenants.add_column(head, justify="right" if at else "left")
    for name, waits in first.tenants.items():
        tenants.add_row(name, *simulation_page.cells_of_waits(waits))
    console.print(tenants)
