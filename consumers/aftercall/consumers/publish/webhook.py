"""One webhook by the Standard Webhooks specification: what is sent, how it is signed, and what an answer means."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import enum
import hashlib
import hmac
import json
from collections.abc import Sequence

from aftercall.contracts import events

SCHEDULE_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds before each further attempt, as the specification suggests: ten attempts over 75 hours."""
_JITTER = 0.1
_SECRET_PREFIX = "whsec_"  # noqa: S105 -- what every secret begins with
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64


class Verdict(enum.StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    LATER = "later"
    DISABLED = "disabled"
    GIVEN_UP = "given_up"


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """What to do after an attempt; `delay_s` only for `LATER`."""

    verdict: Verdict
    delay_s: float | None = None


def parse_secret(text: str) -> bytes:
    """Return the key of a `whsec_` secret; raise `ValueError` that says what is wrong, never what it is."""
    try:
        key = base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(_SECRET_PREFIX) or not _MIN_SECRET_BYTES <= len(key) <= _MAX_SECRET_BYTES:
        raise ValueError(f"a webhook secret is {_SECRET_PREFIX} and base64 of 24 to 64 bytes")
    return key


def body_of(event: events.Event, *, api_url: str) -> bytes:
    """Return the body for an event's news: thin, and made of the event alone, so that every attempt sends equal bytes.

    The transcript is named by a stable address of the API, which asks for a key or presigns; its text is not sent.
    """
    data = event.data
    if isinstance(data, events.RecordingReady):
        raise TypeError("a webhook tells of outcomes only")
    told: dict[str, object] = {
        "tenant": data.tenant,
        "callId": data.call_id,
        "recordingId": data.recording_id,
    }
    if isinstance(data, events.RecordingDeleted):
        return _encode("recording.deleted", data.deleted_at, told)
    told |= {
        "version": data.version,
        "generation": data.generation,
        "transcriptionId": data.transcription_id,
        "url": f"{api_url.rstrip('/')}/v1/transcriptions/{data.transcription_id}",
    }
    if isinstance(data, events.TranscriptFailed):
        kind = "transcript.failed"
        told |= {"status": "failed", "outcome": data.kind, "reason": data.reason, "message": data.message}
    else:
        kind = "transcript.ready"
        told |= {"status": "completed", "language": data.language, "duration": data.duration_s}
    return _encode(kind, data.decided_at, told)


def _encode(kind: str, at: datetime.datetime, told: dict[str, object]) -> bytes:
    whole = {"type": kind, "timestamp": at.isoformat(), "data": told}
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def headers_of(message_id: str, body: bytes, *, secrets: Sequence[bytes], now_s: int) -> dict[str, str]:
    """Return the headers of an attempt at Unix time `now_s`; during a rotation both secrets sign."""
    signed = f"{message_id}.{now_s}.".encode() + body
    signatures = ["v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in secrets]
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(signatures),
    }


def decide(status: int | None, *, retry_after_s: float | None, attempt: int, luck: float) -> Decision:
    """Decide after attempt number `attempt` (from 1) was answered with `status`; None: no answer came.

    Only 2xx is success; a redirect is a failure, since it would carry the signature to somebody else; 410 ends the
    endpoint. `luck` in 0 to 1 spreads retries.
    """
    if status is not None and 200 <= status < 300:
        return Decision(Verdict.DELIVERED)
    if status == 410:
        return Decision(Verdict.DISABLED)
    if attempt > len(SCHEDULE_S):
        return Decision(Verdict.GIVEN_UP)
    delay_s = SCHEDULE_S[attempt - 1] * (1 + _JITTER * (2 * luck - 1))
    # An endpoint may ask for patience, but not for longer than the schedule would ever take.
    return Decision(Verdict.LATER, min(max(delay_s, retry_after_s or 0.0), SCHEDULE_S[-1]))
