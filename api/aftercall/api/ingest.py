"""What telephony providers call when a recording is complete; a signature stands for a key."""

from __future__ import annotations

import logging
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping

import fastapi
from starlette.responses import JSONResponse

from aftercall.consumers.intake import twilio
from aftercall.contracts import errors, events

log = logging.getLogger(__name__)

_MAX_BODY_BYTES = 64 * 1024
TWILIO_PATH = "/v1/ingest/twilio/recording-status"


class Accounts:
    """Providers' accounts by their id: whose they are, and the token that signs. Asked anew for every request."""

    def __init__(self, token_of: Callable[[str], tuple[str, str] | None]) -> None:
        self._token_of = token_of

    def owner(self, account_sid: str, url: str, form: Mapping[str, str], signature: str) -> str | None:
        """Return the tenant of an account, if it signed this request."""
        known = self._token_of(account_sid)
        # An unknown account takes as long as a wrong signature.
        tenant, token = known if known is not None else ("", "no such account")
        is_signed = twilio.is_signed(token, url, form, signature)
        return tenant if known is not None and is_signed else None


def build_ingest(
    accounts: Accounts, *, public_url: str, publish: Callable[[events.RecordingReady], Awaitable[None]]
) -> fastapi.FastAPI:
    """Build the application; `publish` returns once the event is durable, or raises `errors.TransientError`."""
    app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.post(TWILIO_PATH)
    async def recording_status(request: fastapi.Request) -> JSONResponse:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                return _problem(413, f"a callback has at most {_MAX_BODY_BYTES} bytes")
        try:
            pairs = urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body))
        except ValueError:
            return _problem(400, "the body is no form")
        form = dict(pairs)
        url = public_url.rstrip("/") + TWILIO_PATH
        if request.url.query:
            url += f"?{request.url.query}"
        signature = request.headers.get("x-twilio-signature", "")
        tenant = accounts.owner(form.get("AccountSid", ""), url, form, signature)
        if tenant is None:
            return _problem(403, "the signature is not that of a known account")
        try:
            event = twilio.read(form, tenant=tenant)
            if event is not None:
                await publish(event)
        except errors.ContractError as exc:
            return _problem(400, str(exc))
        except errors.TransientError as exc:
            log.warning("callback not published", extra={"reason": exc.reason})
            return _problem(503, "not taken now; call again", {"Retry-After": "5"})
        return JSONResponse({"status": "accepted"})

    return app


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        {"title": "callback not accepted", "status": status, "detail": detail},
        status_code=status,
        media_type="application/problem+json",
        headers=headers,
    )
