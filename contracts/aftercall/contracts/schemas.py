"""JSON Schemas and the AsyncAPI document, generated from the models that the code itself uses.

`python -m aftercall.contracts.schemas` writes them; with `--check` it only says whether they are stale.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import pydantic
import yaml

from aftercall.contracts import events, outcomes, settings, tenants, transcript

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_DOCUMENTS: dict[str, type[pydantic.BaseModel]] = {
    "recording-ready": events.RecordingReady,
    "transcript-ready": events.TranscriptReady,
    "transcript-failed": events.TranscriptFailed,
    "recording-deleted": events.RecordingDeleted,
    "transcript": transcript.Transcript,
    "outcome": outcomes.Outcome,
    "tombstone": outcomes.Tombstone,
    "tenant": tenants.TenantPolicy,
    "settings": settings.Settings,
}
_TYPES = {
    "recording-ready": events.RECORDING_READY,
    "transcript-ready": events.TRANSCRIPT_READY,
    "transcript-failed": events.TRANSCRIPT_FAILED,
    "recording-deleted": events.RECORDING_DELETED,
}
_TRACE_HEADERS = {
    "type": "object",
    "properties": {"traceparent": {"type": "string", "description": "W3C trace context; the trace goes on from it"}},
}
_DEAD_LETTER = {
    "name": "dead-letter",
    "title": "A record as it came, with why it could not be taken",
    "payload": {"type": "string", "description": "the record's value, byte for byte"},
    "headers": {
        "type": "object",
        "description": "the record's own headers, and these",
        "properties": {
            "aftercall-reason": {"type": "string", "description": "a reason, as in outcomes"},
            "aftercall-message": {"type": "string", "description": "what is wrong, field by field"},
            "aftercall-origin": {"type": "string", "description": "topic/partition/offset"},
        },
        "required": ["aftercall-reason", "aftercall-message", "aftercall-origin"],
    },
    "bindings": {
        "kafka": {"key": {"type": "string", "description": "topic/partition/offset"}, "bindingVersion": "0.5.0"}
    },
}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "recording-ready": {
        "tenant": "acme",
        "call_id": "6f1c2d",
        "recording_id": "RE-17",
        "recording_uri": "s3://recordings/acme/6f1c2d.wav",
        "version": "3858f62230ac3c915f300c664312c63f",
        "channels": [{"index": 0, "role": "agent", "name": "Alice"}, {"index": 1, "role": "customer"}],
        "language": "en",
        "duration_s": 184.2,
        "started_at": "2026-03-01T09:30:00Z",
    },
    "transcript-ready": {
        "tenant": "acme",
        "call_id": "6f1c2d",
        "recording_id": "RE-17",
        "version": "3858f62230ac3c915f300c664312c63f",
        "generation": 1,
        "transcription_id": "tr_0123456789abcdef0123456789abcdef",
        "transcript_key": f"transcripts/acme/RE-17/{'2c26b46b' * 8}.json",
        "language": "en",
        "duration_s": 184.2,
        "audio_s": 368.4,
        "decided_at": "2026-03-01T09:41:07Z",
    },
    "transcript-failed": {
        "tenant": "acme",
        "call_id": "6f1c2e",
        "recording_id": "6f1c2e",
        "version": "d41d8cd98f00b204e9800998ecf8427e",
        "generation": 1,
        "transcription_id": "tr_fedcba9876543210fedcba9876543210",
        "kind": "rejected",
        "reason": "empty_file",
        "message": "the recording is an empty file",
        "decided_at": "2026-03-01T09:41:09Z",
    },
    "recording-deleted": {
        "tenant": "acme",
        "call_id": "6f1c2d",
        "recording_id": "RE-17",
        "deleted_at": "2026-04-01T08:00:00Z",
    },
}


def json_schemas() -> dict[str, dict[str, Any]]:
    """Return every JSON Schema by name; those of events are of the whole CloudEvent in structured mode."""
    found = {}
    for name, model in _DOCUMENTS.items():
        schema = model.model_json_schema(mode="validation")
        if name in _TYPES:
            schema = _cloud_event(name, schema)
        found[name] = {"$schema": _DIALECT, "$id": f"urn:aftercall:schema:{name}:1", **schema}
    _let_one_id_be_enough(found["recording-ready"])
    return found


def examples() -> dict[str, dict[str, Any]]:
    """Return an example of each event in structured mode."""
    return {
        name: {
            "specversion": "1.0",
            "id": f"{data['recording_id']}/1",
            "source": "urn:example:recorder" if name == "recording-ready" else "aftercall",
            "type": _TYPES[name],
            "subject": data["recording_id"],
            "datacontenttype": "application/json",
            "data": data,
        }
        for name, data in _EXAMPLES.items()
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document of the topics."""
    topics = {
        "recordings.ready": ("Recordings that are complete and may be fetched", ["recording-ready"]),
        "transcripts.ready": (
            "How transcriptions ended, and what was deleted since",
            ["transcript-ready", "transcript-failed", "recording-deleted"],
        ),
        "recordings.dead": ("Records that announced nothing that could be taken, as they came", ["dead-letter"]),
    }
    channels, operations = {}, {}
    for topic, (title, names) in topics.items():
        channel = topic.replace(".", "_")
        channels[channel] = {
            "address": topic,
            "title": title,
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
        }
        action = "receive" if topic == "recordings.ready" else "send"
        operations[f"{action}_{channel}"] = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
    messages: dict[str, Any] = {
        name: {
            "name": _TYPES[name],
            "contentType": "application/cloudevents+json",
            "payload": {
                "schemaFormat": "application/schema+json;version=draft-2020-12",
                "schema": {"$ref": f"schemas/{name}.json"},
            },
            "headers": _TRACE_HEADERS,
            "bindings": {
                "kafka": {
                    "key": {"type": "string", "description": "tenant/recording_id"},
                    "bindingVersion": "0.5.0",
                }
            },
            "examples": [{"payload": example}],
        }
        for name, example in examples().items()
    }
    messages["dead-letter"] = _DEAD_LETTER
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "aftercall",
            "version": "1.0.0",
            "description": "Publish recording.ready when a recording is complete; read how its transcription ended.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def files() -> dict[pathlib.Path, str]:
    """Return every generated file and what it should hold."""
    found = {
        _ROOT / "schemas" / f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in json_schemas().items()
    }
    head = "# Generated from contracts/aftercall/contracts/schemas.py by `make schemas`; do not edit.\n"
    found[_ROOT / "asyncapi.yaml"] = head + yaml.safe_dump(asyncapi(), sort_keys=False, width=120, allow_unicode=True)
    return found


def _cloud_event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    definitions = data.pop("$defs", {})
    return {
        "title": _TYPES[name],
        "description": data.get("description", ""),
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1},
            "source": {"type": "string", "minLength": 1},
            "type": {"const": _TYPES[name]},
            "time": {"type": "string", "format": "date-time"},
            "subject": {"type": "string"},
            "datacontenttype": {"const": "application/json"},
            "data": data,
        },
        "required": ["specversion", "id", "source", "type", "data"],
        "$defs": definitions,
    }


def _let_one_id_be_enough(schema: dict[str, Any]) -> None:
    data = schema["properties"]["data"]
    data["required"] = [name for name in data["required"] if name not in {"call_id", "recording_id"}]
    data["anyOf"] = [{"required": ["call_id"]}, {"required": ["recording_id"]}]


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` name those that are stale."""
    wanted = files()
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    strays = [path for path in (_ROOT / "schemas").glob("*") if path not in wanted]
    if arguments == ["--check"]:
        if stale or strays:
            names = ", ".join(str(path.relative_to(_ROOT.parent)) for path in [*stale, *strays])
            sys.stderr.write(f"stale: {names}; run `make schemas`\n")
        return 1 if stale or strays else 0
    (_ROOT / "schemas").mkdir(exist_ok=True)
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    for path in strays:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
