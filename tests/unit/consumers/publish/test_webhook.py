"""Webhooks: signed as the specification says, the same bytes every time, and every answer understood."""

from __future__ import annotations

import base64
import datetime
import json

import doubles
import pytest
import standardwebhooks

from aftercall.consumers.publish import webhook
from aftercall.contracts import events, outcomes

SECRETS = ["whsec_" + base64.b64encode(bytes([at]) * 32).decode() for at in (1, 2)]


def ready() -> events.Event:
    """Return the news of a transcript."""
    data = events.TranscriptReady(
        **dict.fromkeys(("tenant", "call_id", "recording_id", "version", "transcription_id", "transcript_key"), "x"),
        generation=1,
        duration_s=3.0,
        audio_s=6.0,
        decided_at=doubles.NOW,
    )
    return events.decided(data, source="test")


def test_the_reference_library_believes_it() -> None:
    """With either secret during a rotation, whatever the time zone here."""
    body = webhook.body_of(ready(), api_url="https://calls.example/")
    now = datetime.datetime.now(datetime.UTC)
    headers = webhook.headers_of(
        "tr_1", body, secrets=[webhook.parse_secret(text) for text in SECRETS], now_s=int(now.timestamp())
    )

    for secret in SECRETS:
        assert json.loads(body) == standardwebhooks.Webhook(secret).verify(body, headers)
    stranger = "whsec_" + base64.b64encode(bytes(32)).decode()
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(stranger).verify(body, headers)


def test_the_body_is_thin_and_stable() -> None:
    """It names where the transcript can be had, and holds none of its words."""
    body = webhook.body_of(ready(), api_url="https://calls.example/")

    assert body == webhook.body_of(ready(), api_url="https://calls.example")
    told = json.loads(body)
    assert "https://calls.example/v1/transcriptions/x" == told["data"]["url"]
    assert ("transcript.ready", "completed") == (told["type"], told["data"]["status"])


def test_failures_are_told_too() -> None:
    """With the reason."""
    names = dict.fromkeys(("tenant", "call_id", "recording_id", "version", "transcription_id"), "x")
    data = events.TranscriptFailed(
        **names,
        generation=1,
        kind=outcomes.Kind.REJECTED,
        reason=outcomes.Reason.NOT_AUDIO,
        message="not audio",
        decided_at=doubles.NOW,
    )
    told = json.loads(webhook.body_of(events.decided(data, source="test"), api_url="http://x"))

    assert ("transcript.failed", "rejected", "not_audio") == (
        told["type"],
        told["data"]["outcome"],
        told["data"]["reason"],
    )


@pytest.mark.parametrize(
    "text", ["", "secret", "whsec_", "whsec_!!!", "whsec_" + base64.b64encode(b"short").decode(), SECRETS[0][6:]]
)
def test_a_secret_that_is_none_is_refused_unseen(text: str) -> None:
    """The message does not repeat it."""
    with pytest.raises(ValueError, match="whsec_ and base64 of 24") as caught:
        webhook.parse_secret(text)
    assert len(text) < 7 or text not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "retry_after_s", "attempt", "expected"),
    [
        (200, None, 1, webhook.Decision(webhook.Verdict.DELIVERED)),
        (204, None, 10, webhook.Decision(webhook.Verdict.DELIVERED)),
        (None, None, 1, webhook.Decision(webhook.Verdict.LATER, 5.0)),
        (302, None, 1, webhook.Decision(webhook.Verdict.LATER, 5.0)),
        (404, None, 2, webhook.Decision(webhook.Verdict.LATER, 300.0)),
        (429, 60.0, 1, webhook.Decision(webhook.Verdict.LATER, 60.0)),
        (503, 1e9, 1, webhook.Decision(webhook.Verdict.LATER, 86_400.0)),
        (500, None, 9, webhook.Decision(webhook.Verdict.LATER, 86_400.0)),
        (500, None, 10, webhook.Decision(webhook.Verdict.GIVEN_UP)),
        (410, None, 1, webhook.Decision(webhook.Verdict.DISABLED)),
    ],
)
def test_what_an_answer_means(
    status: int | None, retry_after_s: float | None, attempt: int, expected: webhook.Decision
) -> None:
    """And that retries are spread by a tenth either way."""
    assert expected == webhook.decide(status, retry_after_s=retry_after_s, attempt=attempt, luck=0.5)
    if expected.verdict is webhook.Verdict.LATER and retry_after_s is None:
        low, high = (
            webhook.decide(status, retry_after_s=None, attempt=attempt, luck=luck).delay_s or 0.0 for luck in (0.0, 1.0)
        )
        assert low < (expected.delay_s or 0.0) <= high
