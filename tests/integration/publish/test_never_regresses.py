"""What readers of ClickHouse see never goes back, whatever order rows come in and whatever clocks say."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import doubles
import pytest

# chdb allows one connection a process, so the story is told in a process of its own.
_STORY = """
import asyncio, datetime, json, pathlib, random, sys
import doubles
from aftercall.consumers.publish import clickhouse
from aftercall.contracts import events

folder, seed, n_queries, old, new = sys.argv[1:]
rng = random.Random(int(seed))
RECORDINGS = [f"r{at}" for at in range(20)]
MONTH_END = datetime.datetime(2026, 1, 31, 23, 59, 30, tzinfo=datetime.UTC)
if old:
    statements = clickhouse.statements()
    clickhouse.statements = lambda: [one.replace(old, new) for one in statements]

def rows(recording, generation, texts, canonical):
    made = doubles.made(recording, generation=generation, texts=texts)
    at = MONTH_END + datetime.timedelta(seconds=rng.uniform(-24, 24) * 3600)
    news = events.TranscriptReady(tenant="acme", call_id=recording, recording_id=recording, version="v1",
        generation=generation, transcription_id=f"t{generation}", transcript_key="k", duration_s=1, audio_s=1,
        decided_at=at)
    segments, row = clickhouse.segment_rows(made), clickhouse.recording_row(news, made)
    if not canonical:
        change = {"is_canonical": 0, "generation": 0, "precedence": 1, "version": ""}
        segments = [{**one, **change} for one in segments]
        row = {**row, **change, "outcome": "realtime"}
    return segments, row

async def main():
    sink = clickhouse.ClickHouse.embedded(pathlib.Path(folder))
    await sink.open()
    opened = {each: 0 for each in RECORDINGS}
    seen = {each: (0, 0) for each in RECORDINGS}
    bad, doubled, n_reads, n_writes = [], 0, 0, 0
    for at in range(int(n_queries)):
        for _ in range(rng.choice([0, 1, 3])):
            recording = rng.choice(RECORDINGS)
            kind = rng.choice(["realtime", "realtime", "next", "again"])
            if kind == "next":
                opened[recording] += 1
            generation = opened[recording] if kind == "next" else rng.randint(1, max(1, opened[recording]))
            canonical = kind != "realtime" and opened[recording] > 0
            words = tuple(f"g{generation} s{n}" for n in range(1 if generation % 2 else 3))
            segments, row = rows(recording, generation, words if canonical else ("live",), canonical)
            n_writes += 1
            await sink.insert("segments", segments)
            await sink.insert("recordings", [row])
        if at % 40 == 39:
            table = rng.choice(["recordings", "segments"])
            await sink._run(lambda: sink._client.command(f"OPTIMIZE TABLE {table} FINAL"))
        shown = await sink.query("SELECT recording_id, is_canonical, generation FROM recordings_current")
        texts = {row["recording_id"]: row["texts"] for row in await sink.query(
            "SELECT recording_id, arraySort(groupArray(text)) AS texts FROM segments_current GROUP BY recording_id")}
        doubled += len(shown) - len({row["recording_id"] for row in shown})
        for row in shown:
            n_reads += 1
            now, before = (row["is_canonical"], row["generation"]), seen[row["recording_id"]]
            generation = row["generation"]
            wanted = [f"g{generation} s{n}" for n in range(1 if generation % 2 else 3)] if now[0] else ["live"]
            if now < before or texts[row["recording_id"]] != wanted:
                bad.append((row["recording_id"], before, now, texts[row["recording_id"]]))
            seen[row["recording_id"]] = max(now, before)
    counts = {"reads": n_reads, "writes": n_writes, "regressions": len(bad), "doubled": doubled}
    print(json.dumps({**counts, "first": bad[:2]}))
    await sink.close()
asyncio.run(main())
"""


def tell(tmp_path: pathlib.Path, *, n_queries: int, old: str = "", new: str = "") -> dict[str, int]:
    """Write and read in turn; return what was seen. `old` and `new` seed a bug in the views."""
    done = subprocess.run(
        [sys.executable, "-c", _STORY, str(tmp_path / "ch"), "7", str(n_queries), old, new],
        capture_output=True,
        text=True,
        timeout=280,
        env={"PYTHONPATH": str(pathlib.Path(doubles.__file__).parent)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, int] = json.loads(done.stdout)
    print(f"\n{found}")
    return found


@pytest.mark.timeout(300)
def test_ten_thousand_reads_see_no_regression_and_one_row_each(tmp_path: pathlib.Path) -> None:
    """Realtime rows, late rows, redelivered and reprocessed canonicals, clocks a day off, around a month's end."""
    found = tell(tmp_path, n_queries=580)

    assert found["reads"] >= 10_000
    assert (0, 0) == (found["regressions"], found["doubled"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("is_canonical DESC, version_at DESC, version DESC, generation DESC", "decided_at DESC"),
        ("AND segments.generation = current.generation", ""),
        ("FROM (SELECT * FROM segments FINAL) AS segments", "FROM segments"),
    ],
)
def test_a_bug_in_the_views_shows(tmp_path: pathlib.Path, old: str, new: str) -> None:
    """Going by clocks; reading rows that were replaced."""
    found = tell(tmp_path, n_queries=60, old=old, new=new)

    assert found["regressions"] > 0
