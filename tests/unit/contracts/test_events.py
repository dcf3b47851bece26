"""Events: what is read, what is refused, and how that is said."""

from __future__ import annotations

import datetime
import json

import pytest

from aftercall.contracts import errors, events

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
DATA = {"tenant": "acme", "call_id": "c1", "recording_uri": "file:///r/acme/c1.wav"}


def event(**changes: object) -> dict[str, object]:
    """Build a structured event as a plain mapping."""
    plain = {"specversion": "1.0", "id": "1", "source": "test", "type": events.RECORDING_READY, "data": DATA}
    return {**plain, **changes}


def test_one_id_is_enough() -> None:
    """Where only one of call and recording is named, they are equal."""
    only_recording = {"tenant": "acme", "recording_id": "r1", "recording_uri": "x:y"}

    assert events.parse_recording_ready(json.dumps(event())).recording_id == "c1"
    assert events.parse_recording_ready(json.dumps(event(data=only_recording))).call_id == "r1"


def test_unknown_fields_are_kept() -> None:
    """A newer source may say more than this code knows, and it passes through."""
    parsed = events.parse(json.dumps(event(data={**DATA, "mood": "good"}, traceparent="00-a-b-01")))

    assert json.loads(events.encode(parsed))["data"]["mood"] == "good"
    assert json.loads(events.encode(parsed))["traceparent"] == "00-a-b-01"


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        (event(type="io.aftercall.recording.ready.v2"), "has version v2; this code knows v1"),
        (event(type="com.example.other"), "is not an event of aftercall"),
        (event(specversion="0.3"), "specversion"),
        (event(data={**DATA, "tenant": "../up"}), "holds a slash"),
        (event(data={"tenant": "acme", "recording_uri": "x"}), "call_id"),
        (event(data={**DATA, "channels": [{"index": 0}, {"index": 0}]}), "names an index twice"),
        (event(data={**DATA, "channels": [{"index": 0, "name": "A\n[00:00:01] Boss: yes"}]}), "name"),
        (event(data={**DATA, "duration_s": -1}), "duration_s"),
        (event(data=None), "data"),
        ([], "not a JSON object"),
    ],
)
def test_a_bad_event_is_refused_with_its_problem(plain: object, said: str) -> None:
    """Upstream services are told what to mend."""
    with pytest.raises(errors.ContractError, match=said):
        events.parse(json.dumps(plain))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_a_contract_error(data: bytes) -> None:
    """A poison message never kills the one who reads it."""
    with pytest.raises(errors.ContractError):
        events.parse(data)


def test_news_of_an_outcome_has_the_transcriptions_id() -> None:
    """Consumers drop repeats by the event id."""
    news = events.TranscriptFailed(
        tenant="acme",
        call_id="c",
        recording_id="c",
        version="v",
        generation=1,
        transcription_id="tr_1",
        kind="rejected",
        reason="empty_file",
        message="m",
        decided_at=NOW,
    )

    assert events.decided(news, source="s").id == "tr_1"


def test_another_kind_of_event_is_no_recording() -> None:
    """The wrong topic is noticed."""
    news = events.decided(
        events.TranscriptReady(
            tenant="a",
            call_id="c",
            recording_id="c",
            version="v",
            generation=1,
            transcription_id="t",
            transcript_key="k",
            duration_s=1,
            audio_s=1,
            decided_at=NOW,
        ),
        source="s",
    )

    with pytest.raises(errors.ContractError, match=r"not io\.aftercall\.recording"):
        events.parse_recording_ready(events.encode(news))
