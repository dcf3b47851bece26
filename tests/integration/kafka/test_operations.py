"""What an operator does at night: where is my call, what died and why, try it again, do it over, delete it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing

import cluster
import doubles
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import documents, events, identity, outcomes, transcript


class Operator:
    """Runs commands and consumers of one platform."""

    def __init__(self, ours: cluster.Cluster, folder: pathlib.Path) -> None:
        self.ours = ours
        self._folder = folder

    def run(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Run a command; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "aftercall.cli", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **self.ours.env(), "COLUMNS": "200"},
            check=False,
        )
        assert code == done.returncode, (done.stdout, done.stderr[-2000:])
        return done.stdout

    def status(self, call_id: str) -> list[dict[str, typing.Any]]:
        """Ask where a call is."""
        return typing.cast(
            "list[dict[str, typing.Any]]", json.loads(self.run("status", call_id, "--tenant", "acme", "--json"))
        )

    def put(self, call_id: str, do: str) -> None:
        """Put a recording into the bucket."""
        plan = {"sleep_s": 0.0, "do": do, "audio_s": 42.0}
        obstore.put(self.ours.bucket(self.ours.inbox), call_id, json.dumps(plan).encode())

    def event(self, call_id: str, recording_id: str | None = None) -> events.RecordingReady:
        """Build its event."""
        plain = {
            "tenant": "acme",
            "call_id": call_id,
            "recording_id": recording_id or call_id,
            "recording_uri": f"s3://{self.ours.inbox}/{call_id}",
            "version": "1",
            "duration_s": 30.0,
        }
        return events.RecordingReady.model_validate(plain)

    def work_until(self, n_outcomes: int) -> None:
        """Let a consumer work until there are so many outcomes, and everything is committed."""
        env = self.ours.env(STUB_LOG=str(self._folder / "began"), AFTERCALL_KAFKA__SESSION_TIMEOUT_S="1.5")
        consumer = cluster.Consumer(env, self._folder / "log", command=cluster.STUB)
        try:
            cluster.wait_until(
                lambda: len(self.ours.outcomes()) == n_outcomes and self.ours.lag() == 0, timeout_s=60, what="outcomes"
            )
            consumer.stop()
        finally:
            consumer.kill()

    def copy(self, call_id: str) -> transcript.Transcript:
        """Return what people see of a call."""
        key = identity.current_copy_key("acme", call_id)
        data = bytes(obstore.get(self.ours.bucket(self.ours.outbox), key).bytes())
        return documents.parse(transcript.Transcript, data, what=key)


@pytest.mark.timeout(240)
def test_a_night(kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path) -> None:
    """From the outside alone: commands, buckets, topics."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create(partitions=1)
    op = Operator(ours, tmp_path)
    for call_id, do in (("c1", "hear"), ("c2", "strike"), ("c7", "hear"), ("c9", "hear")):
        op.put(call_id, do)
    ours.announce([op.event("c1"), op.event("c2"), op.event("c7", "R7"), b"not json"])
    op.work_until(3)

    # Where is my call?
    ours.announce([op.event("c8"), op.event("c9")])
    (done,) = op.status("c1")
    assert ("completed", 1, 42.0, "canonical") == (
        done["status"], done["attempts"], done["audio_s"], done["outcome"],
    )  # fmt: skip
    assert done["consumer"]
    assert ["R7"] == [one["recording_id"] for one in op.status("c7")]
    (queued,) = op.status("c9")
    assert ("queued", 1, 30.0, 0) == (
        queued["status"], queued["queue_position"], queued["audio_s"], queued["attempts"],
    )  # fmt: skip
    assert "2 before" not in op.run("status", "c9", "--tenant", "acme")
    op.run("status", "nobody", "--tenant", "acme", code=4)
    op.run("status", "c1", code=3)

    # What died, and why?
    letters = {one["reason"]: one for one in json.loads(op.run("dlq", "list", "--json"))}
    assert {"invalid_event", "decoder_died"} == set(letters)
    assert ("acme", "c2") == (letters["decoder_died"]["tenant"], letters["decoder_died"]["call_id"])
    assert "not json" in op.run("dlq", "show", letters["invalid_event"]["id"])
    assert "decode child died" in op.run("dlq", "show", letters["decoder_died"]["id"])
    op.run("dlq", "show", "recordings/0/99", code=4)

    # It is mended: try it again.
    op.put("c2", "hear")
    op.put("c8", "hear")
    op.run("dlq", "replay", *[one["id"] for one in letters.values()])
    op.work_until(6)
    again = json.loads(op.run("dlq", "list", "--json"))
    assert [("invalid_event", True)] == [(one["reason"], one["id"] != letters["invalid_event"]["id"]) for one in again]
    newest, oldest = op.status("c2")
    assert [(2, "canonical"), (1, "dead")] == [(one["generation"], one["outcome"]) for one in (newest, oldest)]

    # A better model: everything over, once.
    plan = json.loads(op.run("replay", "--since", "2020-01-01", "--dry-run", "--json"))
    assert 5 == len(plan["announced"])
    op.run("delete", "c9", "--tenant", "acme", "--yes")
    op.run("delete", "c9", "--tenant", "acme", "--yes")
    told = json.loads(op.run("replay", "--since", "2020-01-01", "--json"))
    assert (4, {"acme/c9": "deleted"}) == (len(told["announced"]), told["skipped"])
    op.work_until(10)
    made = op.copy("c1")
    assert (2, 1) == (made.generation, made.replay_of)
    assert 3 == op.copy("c2").generation
    heard = json.loads(op.run("replay", "--since", "2020-01-01", "--model", made.model.name, "--json"))
    assert [] == heard["announced"]
    assert f"heard by {made.model.name} already" == heard["skipped"]["acme/c1"]
    decided = {(one.recording_id, one.generation): one for one in ours.outcomes()}
    assert (outcomes.Kind.CANONICAL, 1) == ((new := decided["c1", 2]).kind, new.replay_of)

    # And nothing of what was deleted comes back, however it is announced.
    ours.announce([op.event("c9").model_copy(update={"generation": 2})])
    op.work_until(11)
    (rejected,) = [one for one in ours.outcomes() if (one.recording_id, one.generation) == ("c9", 2)]
    assert outcomes.Reason.DELETED is rejected.reason
    assert 0 == ours.count("transcripts/acme/c9")


def test_events_are_checked_field_by_field(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """One document, a list, or one a line; good, passed over, or every problem."""
    op = Operator(cluster.Cluster(kafka, store, names), tmp_path)
    data = doubles.event().model_dump(mode="json", exclude_none=True)
    good = {"specversion": "1.0", "id": "1", "source": "s", "type": events.RECORDING_READY, "data": data}
    bad = good | {"data": {"tenant": "..", "recording_uri": ""}}
    test = {"Event": "s3:TestEvent", "Bucket": "b"}
    (tmp_path / "good.json").write_text(json.dumps(good, indent=1))

    assert "event 1: good: acme/c1" in op.run("events", "check", str(tmp_path / "good.json"))
    lines = "\n".join(json.dumps(one) for one in (good, test, bad))
    said = json.loads(op.run("events", "check", "-", "--json", stdin=lines, code=1))
    assert [True, True, False] == [one["good"] for one in said]
    assert all(field in said[2]["message"] for field in ("tenant", "recording_uri", "call_id"))
    assert "passed over (test_event)" == said[1]["message"]
    op.run("events", "check", str(tmp_path / "none.json"), code=3)
