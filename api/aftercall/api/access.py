"""Who asks, checked before anything else is looked at."""

from __future__ import annotations

from typing import Annotated

import fastapi

from aftercall.api import keys, problems, service
from aftercall.contracts import identity

_WITH_KEY = {"WWW-Authenticate": 'Bearer realm="aftercall"'}


def service_of(request: fastapi.Request) -> service.Service:
    """Return the service that this application speaks for."""
    found: service.Service = request.app.state.service
    return found


def caller(request: fastapi.Request) -> str | None:
    """Return the caller's tenant; None on this machine without keys, where every tenant may be asked for."""
    configured = service_of(request).settings.api.keys
    if configured:
        tenant = keys.tenant_of(request.headers, configured)
        if tenant is None:
            raise problems.ProblemError(401, "this request needs the API key of a tenant", headers=_WITH_KEY)
        return tenant
    if not keys.is_local(request.headers):
        raise problems.ProblemError(403, "without API keys, only requests from this machine to itself are served")
    return None


Service = Annotated[service.Service, fastapi.Depends(service_of)]
Caller = Annotated[str | None, fastapi.Depends(caller)]


def parse_id(value: str, *, what: str) -> str:
    """Check an id from an address."""
    try:
        return identity.parse_id(value, what=what)
    except identity.InvalidIdError as exc:
        raise problems.ProblemError(422, str(exc)) from exc


def must_be_enabled(found: service.Service) -> None:
    """Refuse work where transcription is switched off."""
    if not found.settings.intake.enabled:
        raise problems.ProblemError(503, "transcription is switched off here (intake.enabled)")


def must_know(found: service.Service, language: str | None) -> None:
    """Refuse a language that the model does not know."""
    known = found.backend.info.languages
    if language is not None and known is not None and language.lower().partition("-")[0] not in known:
        raise problems.ProblemError(422, f"language {language!r} is not one that the model knows")
