"""What a record on a topic says: every form in which a recording can be announced becomes `RecordingReady`.

Forms are told apart by content, not by configuration: the project's own CloudEvents (structured or binary, by the
Kafka binding of CloudEvents 1.0), bucket notifications of S3 and of servers that speak like it, and EventBridge.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aftercall.contracts import documents, errors, events

Headers = Sequence[tuple[str, bytes]]
_MARKERS = {"tenant": r"[^/]+", "call_id": r"[^/]+", "recording_id": r"[^/]+", "date": r"[0-9/_-]+", "any": r".+"}
_MARKER = re.compile(r"\{(\w+)\}")
_NEVER_ENCODED = re.compile(r"[^\x21-\x7e]")
_OWN_STEM, _, _OWN_MAJOR = events.RECORDING_READY.rpartition(".")


class NewerSchemaError(errors.ContractError):
    """The event is of a later major version: it waits for a newer consumer, and is not dead."""


@dataclasses.dataclass(frozen=True, slots=True)
class KeyTemplate:
    """How an object's key tells tenant and call, such as `{tenant}/{date}/{call_id}.{ext}`.

    `{tenant}`, `{call_id}` and `{recording_id}` are parts between slashes; `{ext}` is a file extension, `{date}` digits
    with slashes or dashes, `{any}` anything. Tenant and one of the two ids must be there.
    """

    text: str
    pattern: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> KeyTemplate:
        """Compile a template; raise `ValueError` that names what is wrong with it."""
        names = _MARKER.findall(text)
        known = {*_MARKERS, "ext"}
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"key template {text!r} has {{{unknown[0]}}}; known are {', '.join(sorted(known))}")
        if len(set(names) - {"any"}) != len([name for name in names if name != "any"]):
            raise ValueError(f"key template {text!r} names a part twice")
        if "tenant" not in names or not {"call_id", "recording_id"} & set(names):
            raise ValueError(f"key template {text!r} must name {{tenant}}, and {{call_id}} or {{recording_id}}")
        parts, at = [], 0
        for marker in _MARKER.finditer(text):
            name = marker[1]
            inner = r"[A-Za-z0-9]{1,8}" if name == "ext" else _MARKERS[name]
            parts += [re.escape(text[at : marker.start()]), inner if name == "any" else f"(?P<{name}>{inner})"]
            at = marker.end()
        return cls(text, re.compile("".join([*parts, re.escape(text[at:])])))

    def match(self, key: str) -> dict[str, str] | None:
        """Return the ids that a key tells; None when it is not of this form."""
        found = self.pattern.fullmatch(key)
        if found is None:
            return None
        return {name: value for name, value in found.groupdict().items() if name not in {"ext", "date"}}


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What one record announced, and why anything in it was passed over (a bounded set of words, for a metric)."""

    ready: tuple[events.RecordingReady, ...] = ()
    skipped: tuple[str, ...] = ()


def read(value: bytes | None, headers: Headers, *, templates: Sequence[KeyTemplate]) -> Reading:
    """Read one record.

    Raises `NewerSchemaError` for an event of a later version, and `errors.ContractError` with every problem, field by
    field, for what is no announcement at all.
    """
    if value is None:
        return Reading(skipped=("tombstone",))
    attributes = _attributes(headers)
    if not attributes.get("content-type", "").lower().startswith("application/cloudevents") and "ce_type" in attributes:
        return Reading((_own(_unbind(value, attributes)),))
    plain = documents.load_object(value, what="record")
    if "specversion" in plain:
        return Reading((_own(plain),))
    if "Records" in plain:
        return _notification(plain["Records"], templates)
    if str(plain.get("Event", "")).endswith("TestEvent"):
        return Reading(skipped=("test_event",))
    if "detail-type" in plain:
        return _event_bridge(plain, templates)
    raise errors.ContractError(
        "record is no announcement: it has neither specversion (CloudEvents), Records (a bucket's notification) nor"
        " detail-type (EventBridge)"
    )


def _attributes(headers: Headers) -> dict[str, str]:
    """Return headers by name; the first of a name counts, and what is not UTF-8 cannot be an attribute."""
    found: dict[str, str] = {}
    for name, value in headers:
        try:
            found.setdefault(name.lower(), value.decode())
        except UnicodeDecodeError:
            continue
    return found


def _unbind(value: bytes, attributes: Mapping[str, str]) -> dict[str, Any]:
    """Return the structured form of an event in binary form."""
    plain: dict[str, Any] = {name[3:]: text for name, text in attributes.items() if name.startswith("ce_")}
    return plain | {"data": documents.load_object(value, what="data of the record")}


def _own(plain: dict[str, Any]) -> events.RecordingReady:
    stem, _, major = str(plain.get("type", "")).rpartition(".")
    if stem == _OWN_STEM and re.fullmatch(r"v[0-9]+", major) and int(major[1:]) > int(_OWN_MAJOR[1:]):
        raise NewerSchemaError(f"event is {stem}.{major}; this consumer knows {_OWN_MAJOR}")
    event = documents.validate(events.Event, plain, what="event")
    if not isinstance(event.data, events.RecordingReady):
        raise errors.ContractError(f"event is {event.type}, not {events.RECORDING_READY}")
    return event.data


def _notification(records: Any, templates: Sequence[KeyTemplate]) -> Reading:
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise errors.ContractError("Records is not a list of objects")
    readings = []
    for one in records:
        version = str(one.get("eventVersion", "2."))
        if not version.startswith("2."):
            raise NewerSchemaError(f"bucket notification has version {version}; this consumer knows 2.x")
        # AWS leaves the `s3:` out, MinIO and others keep it.
        if not str(one.get("eventName", "")).removeprefix("s3:").startswith("ObjectCreated:"):
            readings.append(Reading(skipped=("other_event",)))
            continue
        bucket, facts = _part(one, "s3", "bucket"), _part(one, "s3", "object")
        key = _plain_key(str(facts.get("key", "")), bucket)
        readings.append(_object(str(bucket.get("name", "")), key, facts.get("versionId"), facts.get("eTag"), templates))
    return _joined(readings)


def _plain_key(key: str, bucket: Mapping[str, Any]) -> str:
    """Return a key of a notification as it is in the bucket.

    AWS and MinIO encode it. versitygw (1.8) does not, and repeats it, plain, in the bucket's ARN; nor does any source
    whose key holds what encoding never leaves, such as a space. A `+` alone does not tell: it is taken for encoded.
    """
    if str(bucket.get("arn", "")) == f"arn:aws:s3:::/{bucket.get('name')}/{key}" or _NEVER_ENCODED.search(key):
        return key
    return urllib.parse.unquote_plus(key)


def _event_bridge(plain: dict[str, Any], templates: Sequence[KeyTemplate]) -> Reading:
    if plain["detail-type"] != "Object Created":
        return Reading(skipped=("other_event",))
    bucket, facts = _part(plain, "detail", "bucket"), _part(plain, "detail", "object")
    # Unlike in notifications, the key is not encoded here.
    key = str(facts.get("key", ""))
    return _object(str(bucket.get("name", "")), key, facts.get("version-id"), facts.get("etag"), templates)


def _part(plain: Mapping[str, Any], outer: str, inner: str) -> dict[str, Any]:
    around = plain.get(outer)
    found = around.get(inner) if isinstance(around, dict) else None
    if not isinstance(found, dict):
        raise errors.ContractError(f"{outer}.{inner} is missing, or no object")
    return found


def _object(bucket: str, key: str, version_id: Any, etag: Any, templates: Sequence[KeyTemplate]) -> Reading:
    if not bucket or not key:
        raise errors.ContractError("a bucket's notification names no bucket or no key")
    if key.endswith("/"):
        return Reading(skipped=("folder",))
    ids = next((found for template in templates if (found := template.match(key)) is not None), None)
    if ids is None:
        return Reading(skipped=("key_template",))
    # Unversioned buckets say `null` or nothing; the ETag changes with the content there.
    version = next((str(one).strip('"') for one in (version_id, etag) if one not in {None, "", "null"}), None)
    uri = f"s3://{bucket}/{urllib.parse.quote(key)}"
    if version_id not in {None, "", "null"}:
        uri += "?" + urllib.parse.urlencode({"versionId": version})
    plain = {**ids, "recording_uri": uri, "version": version}
    return Reading((documents.validate(events.RecordingReady, plain, what=f"object {ascii(key)[:80]}"),))


def _joined(readings: Iterable[Reading]) -> Reading:
    every = list(readings)
    return Reading(
        tuple(one for reading in every for one in reading.ready),
        tuple(one for reading in every for one in reading.skipped),
    )
