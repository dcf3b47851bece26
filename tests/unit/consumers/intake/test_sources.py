"""Every form of announcement, as its source writes it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from aftercall.consumers.intake import sources
from aftercall.contracts import errors, events

TEMPLATES = [
    sources.KeyTemplate.parse("{tenant}/{date}/{call_id}.{ext}"),
    sources.KeyTemplate.parse("{tenant}/{call_id}.{ext}"),
]
DATA = {"tenant": "acme", "call_id": "c1", "recording_uri": "s3://recordings/acme/c1.wav", "version": "1"}
ENVELOPE = {"specversion": "1.0", "id": "1", "source": "pbx", "type": events.RECORDING_READY}
STRUCTURED = ("Content-Type", b"application/cloudevents+json")


def read(plain: object, *headers: tuple[str, bytes]) -> sources.Reading:
    """Read a record of this JSON."""
    return sources.read(json.dumps(plain).encode(), headers, templates=TEMPLATES)


def notification(key: str, **more: Any) -> dict[str, Any]:
    """Return one record of a bucket's notification."""
    return {
        "eventVersion": "2.5",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "recordings"}, "object": {"key": key, "size": 3, "eTag": "e1", "sequencer": "0A"}},
    } | more


def bound(**attributes: str) -> list[tuple[str, bytes]]:
    """Return attributes as headers of the binary form."""
    return [(f"ce_{name}", value.encode()) for name, value in attributes.items()]


@pytest.mark.parametrize(
    "headers",
    [
        [],  # no header at all: known by its content
        [STRUCTURED],
        [
            ("content-type", b"application/CloudEvents+json; charset=utf-8"),
            *bound(type="x", id="y"),
        ],  # both: structured
    ],
)
def test_a_structured_event(headers: list[tuple[str, bytes]]) -> None:
    """The envelope and the data in one JSON object."""
    found = read(ENVELOPE | {"data": DATA}, *headers)

    assert [events.RecordingReady(**DATA)] == list(found.ready)
    assert "c1" == found.ready[0].recording_id


def test_a_binary_event() -> None:
    """Attributes in headers; a second header of a name, one that is not UTF-8, and the record's key add nothing."""
    headers = [*bound(**ENVELOPE), ("ce_id", b"2"), ("ce_subject", b"\xff"), ("traceparent", b"00-1-1-01")]

    assert (events.RecordingReady(**DATA),) == read(DATA, *headers).ready


@pytest.mark.parametrize("name", ["ObjectCreated:Put", "s3:ObjectCreated:CompleteMultipartUpload"])
@pytest.mark.parametrize(
    ("key", "call_id"),
    [
        ("acme/c1.wav", "c1"),
        ("acme/2026/11/21/c1.wav", "c1"),
        ("acme/2026-11-21/c1.wav", "c1"),
        ("acme/call+%281%29+%C3%A9.wav", "call (1) é"),
        ("acme/a.b.c.opus", "a.b.c"),
    ],
)
def test_a_notification_of_a_bucket(name: str, key: str, call_id: str) -> None:
    """Keys come encoded as in a form; the object's ETag is its version where the bucket keeps none."""
    found = read({"Records": [notification(key, eventName=name)]}).ready[0]

    assert ("acme", call_id, "e1") == (found.tenant, found.call_id, found.version)
    assert found.recording_uri.startswith("s3://recordings/acme/")


def test_minio_ceph_and_versions() -> None:
    """MinIO wraps the records, Ceph writes sizes as strings, a versioned bucket names the version."""
    record = notification("acme/c1.wav", eventSource="minio:s3", eventName="s3:ObjectCreated:Put")
    wrapped = read({"EventName": "s3:ObjectCreated:Put", "Key": "recordings/acme/c1.wav", "Records": [record]})
    ceph = notification("acme/c1.wav", eventVersion="2.2", eventSource="ceph:s3")
    ceph["s3"]["object"] |= {"size": "3", "versionId": "v7", "eTag": '"e1"'}
    null = notification("acme/c1.wav")
    null["s3"]["object"] |= {"versionId": "null", "eTag": '"e9"'}

    assert ["e1"] == [one.version for one in wrapped.ready]
    found = read({"Records": [ceph, null]}).ready
    assert ["v7", "e9"] == [one.version for one in found]
    assert [True, False] == [one.recording_uri.endswith("?versionId=v7") for one in found]


@pytest.mark.parametrize("key", ["acme/a+b%20c.wav", "acme/a b.wav", "acme/電.wav"])
def test_a_key_that_is_not_encoded_is_not_decoded(key: str) -> None:
    """versitygw sends keys as they are, and repeats them in the ARN; others betray themselves."""
    record = notification(key)
    record["s3"]["bucket"]["arn"] = f"arn:aws:s3:::/recordings/{key}" if "+" in key else "arn:aws:s3:::recordings"

    assert [key.removeprefix("acme/").removesuffix(".wav")] == [
        one.call_id for one in read({"Records": [record]}).ready
    ]


def test_event_bridge() -> None:
    """Keys come as they are there."""
    detail = {
        "bucket": {"name": "recordings"},
        "object": {"key": "acme/a+b.wav", "size": 1, "etag": "e", "version-id": ""},
    }
    found = read({"version": "0", "detail-type": "Object Created", "source": "aws.s3", "detail": detail})

    assert [("a+b", "e")] == [(one.call_id, one.version) for one in found.ready]
    assert ("other_event",) == read({"detail-type": "Object Deleted", "detail": detail}).skipped


@pytest.mark.parametrize(
    ("plain", "why"),
    [
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "recordings"}, "test_event"),
        ({"Records": [notification("acme/c1.wav", eventName="ObjectRemoved:Delete")]}, "other_event"),
        ({"Records": [notification("acme/")]}, "folder"),
        ({"Records": [notification("readme.txt")]}, "key_template"),
        ({"Records": [notification("acme/deep/er/c1.wav")]}, "key_template"),
    ],
)
def test_what_is_no_recording_is_skipped_by_name(plain: object, why: str) -> None:
    """It is no error of anybody's."""
    assert sources.Reading(skipped=(why,)) == read(plain)
    assert sources.Reading(skipped=("tombstone",)) == sources.read(None, [], templates=TEMPLATES)


def test_a_notification_of_several_objects_is_read_whole() -> None:
    """What is passed over takes nothing else with it."""
    found = read({"Records": [notification("acme/a.wav"), notification("x"), notification("acme/b.wav")]})

    assert (["a", "b"], ("key_template",)) == ([one.call_id for one in found.ready], found.skipped)


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ([], "not a JSON object"),
        ({}, "neither specversion"),
        (ENVELOPE | {"data": DATA | {"tenant": ".."}}, "tenant"),
        (ENVELOPE, "data"),
        (ENVELOPE | {"type": events.TRANSCRIPT_READY, "data": {}}, "data"),
        ({"Records": "x"}, "Records"),
        ({"Records": [{"eventName": "ObjectCreated:Put"}]}, "s3.bucket"),
        ({"Records": [notification("")]}, "no key"),
        ({"Records": [notification("%2E%2E/c1.wav")]}, "tenant"),
        ({"Records": [notification("acme/%00.wav")]}, "call_id"),
    ],
)
def test_what_cannot_be_read_says_why(plain: object, said: str) -> None:
    """With the field."""
    with pytest.raises(errors.ContractError, match=said):
        read(plain)


def test_a_later_version_waits_for_a_later_consumer() -> None:
    """It is not this consumer's to judge."""
    with pytest.raises(sources.NewerSchemaError, match="v2"):
        read(ENVELOPE | {"type": "io.aftercall.recording.ready.v2", "data": {}})
    with pytest.raises(sources.NewerSchemaError, match="3"):
        read({"Records": [notification("acme/c1.wav", eventVersion="3.0")]})


@hypothesis.given(
    st.binary(max_size=200), st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=10)), max_size=5)
)
def test_nothing_else_is_ever_raised(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """A poison record must not end the loop that reads it."""
    with contextlib.suppress(errors.ContractError):
        sources.read(value, headers, templates=TEMPLATES)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "Records",
                    "s3",
                    "bucket",
                    "object",
                    "name",
                    "key",
                    "eventName",
                    "detail",
                    "detail-type",
                    "specversion",
                    "type",
                    "data",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@hypothesis.given(
    st.dictionaries(st.sampled_from(["Records", "detail-type", "detail", "specversion", "type", "data"]), json_values)
)
def test_nor_for_json_that_is_nearly_right(plain: object) -> None:
    """Fields of the wrong kind at every depth."""
    with contextlib.suppress(errors.ContractError):
        read(plain)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{tenant}/x.wav", "call_id"),
        ("{call_id}.wav", "tenant"),
        ("{tenant}/{tenant}/{call_id}", "twice"),
        ("{tenant}/{call}.{ext}", r"\{call\}"),
    ],
)
def test_a_template_that_cannot_work_is_refused(text: str, said: str) -> None:
    """When it is configured, not when the first object comes."""
    with pytest.raises(ValueError, match=said):
        sources.KeyTemplate.parse(text)
