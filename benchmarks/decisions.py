"""What a look at everything costs: 100 pools, 1,000 tenants between them, from reports and offsets to replicas.

Nothing is asked of a cluster or of Kafka: this is the decision loop alone, which runs every few seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time

from aftercall.contracts import pools, reports
from aftercall.operator import ledger, pool, unread

POOLS, TENANTS, CONSUMERS, PARTITIONS = 100, 10, 4, 12
LOOK_S = 10.0
TARGET_MS = 50.0
SPEC = pools.TranscriptionPool.model_validate(
    {
        "topics": [{"name": "recordings"}, {"name": "backfill", "lane": "Bulk", "promiseSeconds": 14_400}],
        "backend": {"kind": "Deployment", "deployment": {"name": "speech"}},
        "scaling": {"maxReplicas": 20, "capacityAudioSecondsPerMinute": 3000},
        "consumers": {"deployment": "consumers", "maxReplicas": 12},
    }
)


def told(name: str, consumer: int, step: int) -> reports.ConsumerReport:
    """Return what a consumer of a pool reports: each tenant's work on both lanes, and its partitions."""
    lanes: tuple[reports.Lane, ...] = ("live", "bulk")
    rows = tuple(
        reports.TenantLoad(
            tenant=f"{name}-{at}",
            lane=lane,
            waiting=1 + (step + at) % 5,
            waiting_audio_s=300.0 * (1 + (step + at) % 5),
            running_audio_s=240.0,
            served_audio_s=60.0 * step * (1 + at),
        )
        for at in range(TENANTS)
        for lane in lanes
    )
    positions = tuple(
        reports.Position(topic=topic, partition=partition, position=1000 + step)
        for topic in ("recordings", "backfill")
        for partition in range(consumer, PARTITIONS, CONSUMERS)
    )
    work = reports.Work(done_audio_s=200.0 * step, busy_s=10.0 * step, full_s=9.5 * step)
    return reports.ConsumerReport(
        consumer=f"{name}-{consumer}", instance="1", pool=name, tenants=rows, positions=positions, heard=work
    )


def look_at_all(rounds: int) -> list[tuple[float, float]]:
    """Return the milliseconds of one core, and by the clock, that each look at every pool took.

    Reports are heard before, as they come.
    """
    names = [f"pool-{at}" for at in range(POOLS)]
    known = {name: ledger.Ledger() for name in names}
    states = {name: pool.State() for name in names}
    limits = {name: {f"{name}-{at}": 50.0 for at in range(0, TENANTS, 2)} for name in names}
    partitions = {
        (topic, at): unread.Partition(0, 1400, 990) for topic in ("recordings", "backfill") for at in range(PARTITIONS)
    }
    taken = []
    for step in range(rounds):
        now_s = LOOK_S * step
        for name in names:
            for consumer in range(CONSUMERS):
                known[name] = ledger.hear(known[name], told(name, consumer, step), now_s=now_s)
        readings = {
            name: pool.Reading(known[name], partitions, limits[name], 4, 4, CONSUMERS, CONSUMERS) for name in names
        }
        busy, started = time.process_time(), time.perf_counter()
        for name, seen in readings.items():
            found, states[name] = pool.decide(SPEC, seen, states[name], now_s=now_s)
            assert found.speech is not None
        taken.append((1000 * (time.process_time() - busy), 1000 * (time.perf_counter() - started)))
    return taken


def main() -> None:
    """Time it, and say whether it is quick enough."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=50)
    taken = look_at_all(arguments.parse_args().rounds)[1:]
    edge = len(taken) // 20
    print(f"{POOLS * TENANTS:,} tenants in {POOLS} pools, {CONSUMERS} consumers and {2 * PARTITIONS} partitions each")
    for what, each in (("of one core", 0), ("by the clock", 1)):
        found = sorted(one[each] for one in taken)
        print(
            f"  {what}: median {statistics.median(found):.1f} ms, nine of ten looks {found[edge]:.1f} to"
            f" {found[-1 - edge]:.1f} ms (target: {TARGET_MS:.0f} ms)"
        )


if __name__ == "__main__":
    main()
