"""How long a consumer's report takes to its answer, over HTTP, with many tenants and many consumers.

The operator's side is a process of its own; each consumer tells of every tenant, all of them limited. `one`: consumers
report one after another, as their intervals are spread; `all`: all at once, as they never do. The last column is the
CPU time that the operator's side spends on an answer, which says what is left of it on a machine with other work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

import httpx2

from aftercall.contracts import reports

HOST = pathlib.Path(__file__).resolve().parents[1] / "tests" / "reports_host.py"
PORT = 18480


def build(consumer: str, number: int, n_tenants: int, last: reports.Grants | None, rng: random.Random) -> bytes:
    """Return a report of every tenant, with work that waits and runs."""
    held = {each.tenant: each.per_s for each in last.grants} if last is not None else {}
    loads = tuple(
        reports.TenantLoad(
            tenant=f"tenant-{at:04}",
            waiting=3,
            waiting_audio_s=rng.uniform(0, 5000),
            running_audio_s=rng.uniform(0, 500),
            served_audio_s=number * 100.0,
            begun_audio_s=number * 100.0,
            is_throttled=rng.random() < 0.5,
            held_per_s=held.get(f"tenant-{at:04}"),
        )
        for at in range(n_tenants)
    )
    told = reports.ConsumerReport(
        consumer=consumer,
        instance="1",
        pool="calls",
        number=number,
        epoch=last.epoch if last is not None else 0,
        answered=last.number if last is not None else 0,
        tenants=loads,
        positions=tuple(reports.Position(topic="recordings.ready", partition=at, position=number) for at in range(24)),
    )
    return told.model_dump_json(exclude_defaults=True).encode()


async def ask(client: httpx2.AsyncClient, consumer: str, body: bytes) -> tuple[float, reports.Grants]:
    """Report once; return how long the answer took, in milliseconds."""
    began_s = time.perf_counter()
    answer = await client.post("/v1/reports", content=body, headers={"Authorization": f"Bearer {consumer}"})
    took_ms = (time.perf_counter() - began_s) * 1000
    assert answer.status_code == 200, answer.text
    return took_ms, reports.Grants.model_validate_json(answer.content)


async def measure(n_tenants: int, n_consumers: int, n_rounds: int, *, at_once: bool) -> list[float]:
    """Return how long every answer took after the first two rounds."""
    rng, took_ms = random.Random(1), []
    last: dict[str, reports.Grants | None] = {f"pod-{at}": None for at in range(n_consumers)}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{PORT}", timeout=30, trust_env=False) as client:
        for number in range(1, n_rounds + 3):
            bodies = {each: build(each, number, n_tenants, held, rng) for each, held in last.items()}
            if at_once:
                found = await asyncio.gather(*(ask(client, each, body) for each, body in bodies.items()))
            else:
                found = [await ask(client, each, body) for each, body in bodies.items()]
            last = {each: answer for each, (_, answer) in zip(bodies, found, strict=True)}
            if number > 2:
                took_ms += [each for each, _ in found]
    return took_ms


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(n_tenants: int, n_consumers: int, n_rounds: int, *, at_once: bool) -> tuple[list[float], float]:
    """Start the operator's side, measure, and end it; return also its CPU time for an answer, in milliseconds."""
    env = {
        **os.environ,
        "HOST_PORT": str(PORT),
        "HOST_EPOCH": "1",
        "HOST_LEASE_S": "900",
        "HOST_STALE_S": "30",
        "HOST_BEGAN_AGO_S": "900",
        "HOST_LIMITS": json.dumps({f"tenant-{at:04}": [100.0, 40, 600.0] for at in range(n_tenants)}),
    }
    host = subprocess.Popen([sys.executable, str(HOST)], env=env, stderr=subprocess.PIPE)
    try:
        assert host.stderr is not None
        assert b"is ready" in host.stderr.readline()
        before_s = cpu_s(host.pid)
        took_ms = asyncio.run(measure(n_tenants, n_consumers, n_rounds, at_once=at_once))
        return took_ms, (cpu_s(host.pid) - before_s) * 1000 / (n_consumers * (n_rounds + 2))
    finally:
        host.kill()
        host.wait()


def main() -> None:
    """Print medians and spread of several runs, side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--consumers", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    print(f"report to grants, {asked.consumers} consumers, {asked.runs} runs of {asked.rounds} rounds; ms")
    print(f"{'tenants':>8} {'at once':>8} {'p50':>22} {'p99':>22} {'CPU':>16}")
    for n_tenants, at_once in ((100, False), (1000, False), (100, True), (1000, True)):
        p50, p99, cpu = [], [], []
        for _ in range(asked.runs):
            took_ms, cpu_ms = run(n_tenants, asked.consumers, asked.rounds, at_once=at_once)
            p50.append(statistics.median(took_ms))
            p99.append(statistics.quantiles(took_ms, n=100)[-1])
            cpu.append(cpu_ms)
        shown = [f"{statistics.median(each):.1f} ({min(each):.1f}-{max(each):.1f})" for each in (p50, p99, cpu)]
        asking = "all" if at_once else "one"
        print(f"{n_tenants:>8} {asking:>8} {shown[0]:>22} {shown[1]:>22} {shown[2]:>16}", flush=True)


if __name__ == "__main__":
    main()
