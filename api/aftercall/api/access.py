"""What endpoints ask before they do anything: for whom, and whether it can be done at all."""

from __future__ import annotations

from typing import Annotated

import fastapi
import pydantic

from aftercall.api import problems, service
from aftercall.contracts import events

LANGUAGE_PATTERN = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$"
# What `identity.parse_id` allows as far as a pattern can say it; for readers of the documentation.
_ID = pydantic.Field(json_schema_extra={"pattern": r"^(?!\.{1,2}$)(?!\s*$)[^\x00-\x1f\x7f-\x9f/\\]+$"})

Tenant = Annotated[events.TenantId, _ID]
CallId = Annotated[events.CallId, _ID]
RecordingId = Annotated[events.RecordingId, _ID]


def _service(request: fastapi.Request) -> service.Service:
    found: service.Service = request.app.state.service
    return found


def _caller(request: fastapi.Request) -> str | None:
    tenant: str | None = request.state.caller
    return tenant


Service = Annotated[service.Service, fastapi.Depends(_service)]
"""The service that the application speaks for."""
Caller = Annotated[str | None, fastapi.Depends(_caller)]
"""The caller's tenant, as the gate found it; None: every tenant may be asked for."""


class Query(pydantic.BaseModel):
    """Query parameters; one that does not exist is refused, so that a typing error cannot pass unseen."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def whose(caller: str | None, asked: str | None) -> str | None:
    """Return the tenant that a request is about; None: every tenant's."""
    if caller is not None and asked is not None and asked != caller:
        raise problems.ProblemError(403, "this API key is another tenant's")
    return caller if caller is not None else asked


def must_be_enabled(found: service.Service) -> None:
    """Refuse work where transcription is switched off."""
    if not found.settings.intake.enabled:
        raise problems.ProblemError(503, "transcription is switched off here (intake.enabled)")


def known_language(found: service.Service, asked: str | None) -> str | None:
    """Return a language as the model names it, `en` for `en-US`; refuse one that it does not know."""
    if asked is None:
        return None
    plain = asked.lower().replace("_", "-").partition("-")[0]
    known = found.backend.info.languages
    if known is not None and plain not in known:
        raise problems.ProblemError(422, f"language {asked!r} is not one that the model knows")
    return plain
