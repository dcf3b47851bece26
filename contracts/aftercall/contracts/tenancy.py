"""What a platform team grants a tenant, as a custom resource; the operator compiles it into the policies of `tenants`.

Whole numbers only, and names in the place of secrets: a Secret's name says where one lies, never what it is.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
from pydantic import alias_generators

from aftercall.contracts import errors, identity, pools, tenants

WEBHOOKS = pathlib.Path("/var/run/secrets/aftercall/webhooks")
"""Where the relay's Secrets of webhooks are mounted, each under its name; keys `url`, `secret`, `next-secret`."""
ACCOUNTS = pathlib.Path("/var/run/secrets/aftercall/twilio")
"""Where Secrets of Twilio accounts are mounted, each under its name; key `auth-token`."""

_AUDIO_SECONDS = 10_000_000
_SET = {"x-kubernetes-list-type": "set"}
REFUSED = {alias_generators.to_camel(name): what for name, what in tenants.NOT_BUILT.items()}
"""What a specification may be expected to promise, and must not name: refused, never ignored."""

_TEXT = r"[^/\\\x00-\x1f\x7f-\x9f]*"
Id = Annotated[
    str,
    pydantic.Field(
        min_length=1, max_length=identity.MAX_ID_CHARS, pattern=rf"^{_TEXT}[^/\\\x00-\x20\x7f-\xa0]{_TEXT}$"
    ),
]
"""Text without slashes and control characters, that is more than spaces; `identity.parse_id` holds the rest."""
Language = Annotated[str, pydantic.Field(max_length=35, pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
Host = Annotated[
    str,
    pydantic.Field(
        min_length=1,
        max_length=253,
        pattern="^([a-z0-9]([-a-z0-9.]*[a-z0-9])?|[0-9a-f]*:[0-9a-f:.]*:[0-9a-f:.]*)$",
    ),
]
"""A name in small letters or an address, without scheme and port."""
BucketName = Annotated[str, pydantic.Field(min_length=3, max_length=63, pattern="^[a-z0-9][a-z0-9.-]*[a-z0-9]$")]
Hosts = Annotated[tuple[Host, ...], pydantic.Field(max_length=64, json_schema_extra=_SET)]
Lanes = Annotated[tuple[pools.Lane, ...], pydantic.Field(min_length=1, max_length=2, json_schema_extra=_SET)]
Topics = Annotated[tuple[pools.TopicName, ...], pydantic.Field(min_length=1, max_length=64, json_schema_extra=_SET)]
Buckets = Annotated[tuple[BucketName, ...], pydantic.Field(min_length=1, max_length=64, json_schema_extra=_SET)]
AudioSeconds = Annotated[pools.Whole, pydantic.Field(ge=1, le=_AUDIO_SECONDS)]


class SecretReference(pools.Spec):
    """A Secret in the tenant's namespace."""

    secret: pools.Name
    """Its name; the chart mounts those that its values list."""


class Twilio(SecretReference):
    """An account with Twilio."""

    account_sid: Annotated[str, pydantic.Field(min_length=34, max_length=34, pattern="^AC[0-9a-fA-F]{32}$")]
    """The account's SID, as callbacks name it; no two tenants have the same."""


def _add_what_is_not_built(schema: dict[str, Any]) -> None:
    """Name the fields that are refused: what a schema does not name, an API server drops without a word."""
    schema["properties"] |= {
        name: {"type": "object", "description": f"Refused: {what} is not built yet."} for name, what in REFUSED.items()
    }
    schema["x-kubernetes-validations"] = [
        {"rule": f"!has(self.{name})", "message": _refusal(name)} for name in REFUSED
    ] + [
        {
            "rule": "!has(self.burstAudioSeconds) || has(self.audioSecondsPerMinute)",
            "message": "burstAudioSeconds is the burst of a limit: set audioSecondsPerMinute too",
        },
        {
            "rule": "(has(self.id) ? self.id : '') == (has(oldSelf.id) ? oldSelf.id : '')",
            "message": "id stays what it is: recordings are known by it; make another Tenant",
        },
        {"rule": "!has(self.id) || (self.id != '.' && self.id != '..')", "message": "id is a path, not an id"},
    ]


def _refusal(name: str) -> str:
    return f"{name} is not built yet, so it would not be honoured; remove it"


class Tenant(pools.Spec):
    """What a tenant is allowed and wants."""

    model_config = pydantic.ConfigDict(json_schema_extra=_add_what_is_not_built)

    id: Id | None = None
    """Id of the tenant, as events name it, which may hold what no name of an object can; none: the object's name."""
    language: Language | None = None
    """Language of the tenant's recordings whose event names none, such as `en` or `pt-BR`."""
    vocabulary: Annotated[tuple[tenants.Term, ...], pydantic.Field(max_length=1000)] = ()
    """Names and terms that the tenant's calls hold, the most important first; about a hundred words fit."""
    egress_hosts: Hosts = ()
    """Hosts outside this installation that may see the tenant's audio or text; none: nothing leaves."""
    audio_seconds_per_minute: AudioSeconds | None = None
    """Audio-seconds (of one channel) that may begin each minute, on all consumers together; none: no limit."""
    burst_audio_seconds: Annotated[pools.Whole, pydantic.Field(ge=30, le=_AUDIO_SECONDS)] | None = None
    """Audio-seconds that may begin at once after a rest, at least one window; none: a minute's worth."""
    concurrency: Annotated[pools.Whole, pydantic.Field(ge=1, le=256)] | None = None
    """Recordings of the tenant that one consumer works on at once; none: as many as it works on."""
    weight: Annotated[pools.Whole, pydantic.Field(ge=1, le=1000)] = 1
    """Share of what tenants compete for: a tenant of weight 4 gets four times as much as one of weight 1."""
    lanes: Lanes | None = None
    """Lanes of topics that it may be named on; none: both."""
    topics: Topics | None = None
    """Topics that it may be named on; none: any whose binding lets it."""
    buckets: Buckets | None = None
    """Buckets that its recordings may lie in; none: any whose binding lets it."""
    webhook: SecretReference | None = None
    """Where it is told of outcomes: a Secret with the keys `url`, `secret` and, during a rotation, `next-secret`."""
    twilio: Twilio | None = None
    """Its account with Twilio: a Secret with the key `auth-token`; none: no account."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_built(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            asked = [_refusal(name) for name in REFUSED if data.get(name) is not None]
            if asked:
                raise ValueError("; ".join(asked))
            return {name: value for name, value in data.items() if name not in REFUSED}
        return data

    @pydantic.field_validator("id")
    @classmethod
    def _is_an_id(cls, value: str | None) -> str | None:
        return value if value is None else identity.parse_id(value, what="id")

    @pydantic.field_validator("egress_hosts", "lanes", "topics", "buckets")
    @classmethod
    def _names_each_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("names one twice")
        return value

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Tenant:
        if self.burst_audio_seconds is not None and self.audio_seconds_per_minute is None:
            raise ValueError("burstAudioSeconds is the burst of a limit: set audioSecondsPerMinute too")
        return self


def parse(name: str, spec: Mapping[str, Any]) -> Tenant:
    """Return the specification of the object `name`, with its id filled in.

    Raises `errors.ContractError` with every problem, field by field.
    """
    try:
        read = Tenant.model_validate(dict(spec))
    except pydantic.ValidationError as exc:
        raise errors.ContractError("; ".join(_sentence(each["loc"], each["msg"]) for each in exc.errors())) from exc
    if read.id is not None:
        return read
    try:
        return read.model_copy(update={"id": identity.parse_id(name, what="metadata.name")})
    except identity.InvalidIdError as exc:
        raise errors.ContractError(f"{exc}; set spec.id") from exc


def _sentence(at: tuple[int | str, ...], said: str) -> str:
    return f"{'.'.join(map(str, ('spec', *at)))}: {said.removeprefix('Value error, ')}"


def policy(tenant: Tenant, *, floor_audio_seconds_per_minute: float | None) -> tenants.TenantPolicy:
    """Return what consumers, relay and API read of a tenant whose id is filled in."""
    hook, account = tenant.webhook, tenant.twilio
    plain: dict[str, Any] = {
        "name": tenant.id,
        "language": tenant.language,
        "vocabulary": tenant.vocabulary,
        "egress_hosts": tenant.egress_hosts,
        "audio_seconds_per_minute": tenant.audio_seconds_per_minute,
        "floor_audio_seconds_per_minute": floor_audio_seconds_per_minute,
        "burst_audio_seconds": tenant.burst_audio_seconds,
        "concurrency": tenant.concurrency,
        "weight": tenant.weight,
        "lanes": [lane.lower() for lane in tenant.lanes or ()],
        "topics": tenant.topics or (),
        "buckets": tenant.buckets or (),
    }
    if hook is not None:
        at = WEBHOOKS / hook.secret
        plain["webhook"] = {"url_file": at / "url", "secret_files": [at / "secret", at / "next-secret"]}
    if account is not None:
        token = ACCOUNTS / account.secret / "auth-token"
        plain["twilio"] = {"account_sid": account.account_sid, "auth_token_file": token}
    return tenants.TenantPolicy.model_validate(plain)
