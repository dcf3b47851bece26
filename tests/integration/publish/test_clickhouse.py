"""The embedded ClickHouse: what the views show, whatever order rows come in."""

from __future__ import annotations

import datetime
import json
import pathlib
import subprocess
import sys
import typing

import doubles

from aftercall.consumers.publish import clickhouse
from aftercall.contracts import events

# chdb allows one connection a process, so every story is told in a process of its own.
_STORY = """
import asyncio, datetime, json, pathlib, sys
from aftercall.consumers.publish import clickhouse
async def main():
    ch = clickhouse.ClickHouse.embedded(pathlib.Path(sys.argv[1]))
    await ch.open()
    for step in json.load(sys.stdin):
        if isinstance(step, str):
            await ch._run(lambda: ch._client.command(step))
            continue
        table, rows = step
        for row in rows:
            if "decided_at" in row:
                row["decided_at"] = datetime.datetime.fromisoformat(row["decided_at"])
        await ch.insert(table, rows)
    print(json.dumps({
        "recordings": await ch.query("SELECT call_id, generation, is_canonical, outcome FROM recordings_current"),
        "segments": await ch.query(
            "SELECT text, generation, is_canonical FROM segments_current ORDER BY generation, segment_id"),
    }, default=str))
    await ch.close()
asyncio.run(main())
"""

Step = str | tuple[str, list[dict[str, typing.Any]]]


def tell(tmp_path: pathlib.Path, *steps: Step) -> dict[str, list[dict[str, typing.Any]]]:
    """Write rows in order and return what the views show."""
    done = subprocess.run(
        [sys.executable, "-c", _STORY, str(tmp_path / "ch")],
        input=json.dumps(steps, default=str),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return typing.cast("dict[str, list[dict[str, typing.Any]]]", json.loads(done.stdout))


def canonical(generation: int, *texts: str, skew_h: int = 0, version: str = "v1") -> list[Step]:
    """Build the rows of a canonical generation, decided at a clock that may be wrong."""
    made = doubles.made(generation=generation, texts=texts).model_copy(update={"version": version})
    decided_at = doubles.NOW + datetime.timedelta(hours=skew_h)
    news = events.TranscriptReady(
        tenant="acme",
        call_id="c1",
        recording_id="c1",
        version=version,
        generation=generation,
        transcription_id=f"t{generation}",
        transcript_key="k",
        duration_s=1,
        audio_s=1,
        decided_at=decided_at,
    )
    return [("segments", clickhouse.segment_rows(made)), ("recordings", [clickhouse.recording_row(news, made)])]


def realtime(*texts: str, skew_h: int = 0) -> list[Step]:
    """Build the rows that a realtime transcriber writes while the call lasts."""
    segments, recordings = canonical(1, *texts, skew_h=skew_h)
    assert isinstance(segments, tuple)
    assert isinstance(recordings, tuple)
    changes = {"is_canonical": 0, "generation": 0, "precedence": 1, "version": ""}
    return [
        ("segments", [{**row, **changes} for row in segments[1]]),
        ("recordings", [{**row, **changes, "outcome": "realtime"} for row in recordings[1]]),
    ]


def texts(shown: dict[str, list[dict[str, typing.Any]]]) -> list[str]:
    """Return the texts of the current segments."""
    return [row["text"] for row in shown["segments"]]


def test_the_canonical_transcript_hides_the_realtime_one(tmp_path: pathlib.Path) -> None:
    """Whichever came first, and whatever the clocks said."""
    for at, steps in enumerate(
        (
            [*realtime("helo"), *canonical(1, "hello", "there")],
            [*canonical(1, "hello", "there"), *realtime("helo", "ther", "e", skew_h=24)],
            [
                *canonical(1, "hello", "there", skew_h=-24),
                *realtime("helo", skew_h=700),
                "OPTIMIZE TABLE segments FINAL",
            ],
        )
    ):
        shown = tell(tmp_path / str(at), *steps)
        assert texts(shown) == ["hello", "there"]
        assert [(row["generation"], row["is_canonical"]) for row in shown["recordings"]] == [(1, 1)]


def test_until_then_the_realtime_one_shows(tmp_path: pathlib.Path) -> None:
    """It is what there is."""
    assert texts(tell(tmp_path, *realtime("helo"))) == ["helo"]


def test_a_shorter_new_generation_leaves_no_old_rows(tmp_path: pathlib.Path) -> None:
    """By generation and not by clock; across months; delivered twice; merged or not."""
    old, new = canonical(1, "a", "b", "c", skew_h=24 * 40), canonical(2, "x", skew_h=-24)
    for at, steps in enumerate(([*old, *new], [*new, *old, *new, "OPTIMIZE TABLE recordings FINAL"])):
        shown = tell(tmp_path / str(at), *steps)
        assert texts(shown) == ["x"]
        assert [row["generation"] for row in shown["recordings"]] == [2]


def test_rows_delivered_again_show_once(tmp_path: pathlib.Path) -> None:
    """The relay may stop between inserting and committing."""
    shown = tell(tmp_path, *canonical(1, "hello"), *canonical(1, "hello"))

    assert texts(shown) == ["hello"]
    assert len(shown["recordings"]) == 1


def test_a_deletion_hides_what_came_before_and_what_comes_after(tmp_path: pathlib.Path) -> None:
    """Late rows of any kind do not bring it back."""
    told = events.RecordingDeleted(tenant="acme", call_id="c1", recording_id="c1", deleted_at=doubles.NOW)
    gone: Step = ("recordings", [clickhouse.deletion_row(told)])

    shown = tell(tmp_path, *canonical(1, "hello"), gone, *canonical(2, "late"), *realtime("later"))

    assert {"recordings": [], "segments": []} == shown


def test_a_failed_recording_has_a_row_and_is_not_current(tmp_path: pathlib.Path) -> None:
    """It can be counted, and shows no text."""
    news = events.TranscriptFailed(
        tenant="acme",
        call_id="c2",
        recording_id="c2",
        version="v1",
        generation=1,
        transcription_id="t",
        kind="rejected",
        reason="empty_file",
        message="m",
        decided_at=doubles.NOW,
    )
    row = clickhouse.recording_row(news, None)

    assert tell(tmp_path, ("recordings", [row]))["recordings"] == []
    assert ("rejected", "empty_file", 0) == (row["outcome"], row["reason"], row["is_canonical"])
