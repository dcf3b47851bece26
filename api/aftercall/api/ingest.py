"""What telephony providers call when a recording is complete; a signature stands for a key."""

from __future__ import annotations

import dataclasses
import logging
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping

import fastapi

from aftercall.api import problems
from aftercall.consumers.intake import twilio
from aftercall.contracts import errors, events

log = logging.getLogger(__name__)

_MAX_BODY_BYTES = 64 * 1024
TWILIO_PATH = "/v1/ingest/twilio/recording-status"
_FORM = {
    "parameters": [
        {"name": "X-Twilio-Signature", "in": "header", "required": True, "schema": {"type": "string"}},
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "AccountSid": {"type": "string"},
                        "CallSid": {"type": "string"},
                        "RecordingStatus": {"enum": ["in-progress", "completed", "absent", "failed"]},
                        **{name: {"type": "string"} for name in ("RecordingSid", "RecordingUrl", "RecordingStartTime")},
                        **{name: {"type": "string"} for name in ("RecordingDuration", "RecordingChannels")},
                    },
                    "required": ["AccountSid", "CallSid", "RecordingStatus"],
                }
            }
        },
    },
}


@dataclasses.dataclass(frozen=True, slots=True)
class Callbacks:
    """How callbacks are taken: whose an account is and with which token it signs, the address that it signs, and
    where what it announces goes. `publish` returns once that is durable, or raises `errors.TransientError`.
    """

    token_of: Callable[[str], tuple[str, str] | None]
    public_url: str
    publish: Callable[[events.RecordingReady], Awaitable[None]]

    def owner(self, form: Mapping[str, str], *, query: str, signature: str) -> str | None:
        """Return the tenant of the account that a callback names, if the account signed it."""
        url = self.public_url.rstrip("/") + TWILIO_PATH + (f"?{query}" if query else "")
        known = self.token_of(form.get("AccountSid", ""))
        # An unknown account takes as long as a wrong signature.
        tenant, token = known if known is not None else ("", "no such account")
        is_signed = twilio.is_signed(token, url, form, signature)
        return tenant if known is not None and is_signed and self.public_url else None


def build_router(callbacks: Callbacks) -> fastapi.APIRouter:
    """Build the routes that providers call."""
    router = fastapi.APIRouter(tags=["ingest"], responses=problems.responses(400, 403, 413, 431, 500, 503))

    @router.post(TWILIO_PATH, openapi_extra=_FORM)
    async def recording_status(request: fastapi.Request) -> dict[str, str]:
        """Take Twilio's recording status callback: a form, signed with the account's token."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                raise problems.ProblemError(413, f"a callback has at most {_MAX_BODY_BYTES} bytes")
        try:
            pairs = urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body))
        except ValueError as exc:
            raise problems.ProblemError(400, "the body is no form") from exc
        form = dict(pairs)
        tenant = callbacks.owner(form, query=request.url.query, signature=request.headers.get("x-twilio-signature", ""))
        if tenant is None:
            raise problems.ProblemError(403, "the signature is not that of a known account")
        try:
            event = twilio.read(form, tenant=tenant)
            if event is not None:
                await callbacks.publish(event)
        except errors.ContractError as exc:
            raise problems.ProblemError(400, str(exc)) from exc
        except errors.TransientError as exc:
            log.warning("callback not published", extra={"reason": exc.reason})
            raise problems.ProblemError(503, "not taken now; call again", headers={"Retry-After": "5"}) from exc
        return {"status": "accepted"}

    return router
