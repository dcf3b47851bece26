"""A tenant's policy. What it asks for and is not built yet is refused, never ignored."""

from __future__ import annotations

from typing import Any

import pydantic

from aftercall.contracts import identity

_NOT_BUILT = {
    "redaction": "text and audio redaction",
    "retention_days": "retention",
    "audio_seconds_per_minute": "rate limits",
    "burst_audio_seconds": "rate limits",
    "concurrency": "concurrency caps",
    "weight": "fair shares",
    "lanes": "lanes",
    "topics": "topics",
    "buckets": "bucket bindings",
    "webhook": "webhooks",
    "diarization": "diarization",
    "vocabulary": "vocabulary",
}


class TenantPolicy(pydantic.BaseModel):
    """What one tenant is allowed and wants."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """Id of the tenant, as events name it."""
    language: str | None = None
    """Language of the tenant's recordings whose event names none."""
    egress_hosts: tuple[str, ...] = ()
    """Hosts outside this installation that may see the tenant's audio or text; none: nothing leaves."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_built(cls, data: Any) -> Any:
        if isinstance(data, dict):
            asked = [f"{field} ({_NOT_BUILT[field]})" for field in data if field in _NOT_BUILT]
            if asked:
                raise ValueError(f"not built yet, so it would not be honoured: {', '.join(asked)}; remove it")
        return data

    @pydantic.field_validator("name")
    @classmethod
    def _is_an_id(cls, name: str) -> str:
        return identity.parse_id(name, what="tenant")
