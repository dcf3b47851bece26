"""Twilio's recording status callback: whose it is, that Twilio sent it, and which recording it announces.

https://www.twilio.com/docs/usage/security#validating-requests has the signature; the parameters are those of a
`recordingStatusCallback`. Pure; the caller has parsed the form.
"""

from __future__ import annotations

import base64
import datetime
import email.utils
import hashlib
import hmac
from collections.abc import Mapping

from aftercall.contracts import documents, errors, events

ABSENT = "absent:"
"""Begins the address of a recording that Twilio says there is none of: its outcome is rejected, without audio."""
_ENDED = frozenset({"absent", "failed"})


def signature_of(auth_token: str, url: str, form: Mapping[str, str]) -> str:
    """Return what Twilio signs a request with: HMAC-SHA1 over the address and the sorted parameters."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def is_signed(auth_token: str, url: str, form: Mapping[str, str], signature: str) -> bool:
    """Say whether Twilio sent a request; takes as long whatever is wrong with it."""
    return hmac.compare_digest(signature_of(auth_token, url, form).encode(), signature.encode())


def read(form: Mapping[str, str], *, tenant: str) -> events.RecordingReady | None:
    """Return what a callback announces; None for one of a recording that is still being made.

    Both sides' channels are asked for where there are two. Raises `errors.ContractError` for what is no such callback.
    """
    status = form.get("RecordingStatus", "")
    if status == "in-progress":
        return None
    if status != "completed" and status not in _ENDED:
        raise errors.ContractError(f"RecordingStatus: {ascii(status)[:40]} is none of completed, absent, failed")
    n_channels = _number(form.get("RecordingChannels", "1")) or 1
    uri = ABSENT + status if status in _ENDED else _address(form.get("RecordingUrl", ""), n_channels)
    duration_s = _number(form.get("RecordingDuration", ""))
    plain = {
        "tenant": tenant,
        "call_id": form.get("CallSid"),
        "recording_id": form.get("RecordingSid") or form.get("CallSid"),
        "recording_uri": uri,
        # A recording of Twilio's never changes; its id is its version.
        "version": "1",
        # The first channel is the leg that was called by Twilio or called it, the second the other.
        "channels": [{"index": at, "role": None} for at in range(n_channels)] if n_channels > 1 else [],
        "duration_s": duration_s,
        "started_at": _time(form.get("RecordingStartTime", "")),
    }
    return documents.validate(events.RecordingReady, plain, what="callback")


def _address(url: str, n_channels: int) -> str:
    if not url.startswith(("https://", "http://")):
        raise errors.ContractError("RecordingUrl: is no address")
    return f"{url}.wav?RequestedChannels={n_channels}"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else None


def _time(text: str) -> datetime.datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
