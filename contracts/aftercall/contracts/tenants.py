"""A tenant's policy. What it asks for and is not built yet is refused, never ignored."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import pydantic
import yaml

from aftercall.contracts import errors, identity

NOT_BUILT = {
    "redaction": "text and audio redaction",
    "retention_days": "retention",
    "diarization": "diarization by tenant",
}
"""What a policy may be expected to promise, by field."""


Lane = Literal["live", "bulk"]
Term = Annotated[str, pydantic.Field(min_length=1, max_length=100)]


_HTTP_URL = pydantic.TypeAdapter(pydantic.HttpUrl)


class Webhook(pydantic.BaseModel):
    """Where a tenant is told of outcomes."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    url: pydantic.HttpUrl | None = None
    """Address that is posted to; on a public network, unless `webhooks.private_networks` allows another."""
    url_file: pathlib.Path | None = None
    """File that holds the address, in the place of `url`: an address may carry a token."""
    secret_files: Annotated[tuple[pathlib.Path, ...], pydantic.Field(min_length=1, max_length=4)]
    """Files that hold a `whsec_` secret each; several while one is being replaced, and all of them sign. One that is
    not there is passed over, as long as another is."""

    @pydantic.model_validator(mode="after")
    def _has_one_address(self) -> Webhook:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("has either url or url_file")
        return self


class Twilio(pydantic.BaseModel):
    """A tenant's account with Twilio."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    account_sid: Annotated[str, pydantic.Field(min_length=1)]
    """The account's SID, as callbacks name it; only this tenant's recordings come from it."""
    auth_token_file: pathlib.Path
    """File that holds the account's auth token: it signs callbacks, and recordings are fetched with it."""
    host: str = "api.twilio.com"
    """Host that recordings are fetched from with the token, and no other."""


class TenantPolicy(pydantic.BaseModel):
    """What one tenant is allowed and wants."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """Id of the tenant, as events name it."""
    language: str | None = None
    """Language of the tenant's recordings whose event names none."""
    egress_hosts: tuple[str, ...] = ()
    """Hosts outside this installation that may see the tenant's audio or text; none: nothing leaves."""
    vocabulary: Annotated[tuple[Term, ...], pydantic.Field(max_length=1000)] = ()
    """Names and terms that the tenant's calls hold, the most important first; about a hundred words fit."""
    audio_seconds_per_minute: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)] | None = None
    """Audio-seconds (of one channel) that may begin each minute; none: no limit."""
    floor_audio_seconds_per_minute: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)] | None = None
    """What each consumer may begin each minute without a grant of the operator, where consumers report to one; none:
    the whole limit."""
    burst_audio_seconds: Annotated[float, pydantic.Field(ge=30, allow_inf_nan=False)] | None = None
    """Audio-seconds that may begin at once after a rest, at least one window; none: a minute's worth."""
    concurrency: Annotated[int, pydantic.Field(ge=1)] | None = None
    """Recordings of the tenant that one consumer works on at once; none: as many as it works on."""
    lanes: tuple[Lane, ...] = ()
    """Lanes of topics that it may be named on; none: both."""
    topics: tuple[str, ...] = ()
    """Topics that it may be named on, within what `kafka.topics` binds; none: any."""
    buckets: tuple[str, ...] = ()
    """Buckets that its recordings may lie in, within what `store.recording_buckets` binds; none: any."""
    webhook: Webhook | None = None
    """Where the tenant is told of outcomes, by `aftercall relay`; none: nowhere."""
    twilio: Twilio | None = None
    """The tenant's account with Twilio, for `aftercall api` and what that announces; none: no account."""
    weight: Annotated[float, pydantic.Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0
    """Share of what tenants compete for: a tenant of weight 4 gets four times as much as one of weight 1."""

    @property
    def is_shared_out(self) -> bool:
        """Whether it asks for what is honoured on Kafka only: limits, weights, bindings, a webhook or an account."""
        shared = (self.audio_seconds_per_minute, self.concurrency, self.webhook, self.twilio)
        bound = self.lanes or self.topics or self.buckets
        return any(one is not None for one in shared) or self.weight != 1.0 or bool(bound)

    def may_be_named_on(self, topic: str, *, lane: Lane) -> bool:
        """Say whether events on a topic may announce its recordings, as far as this policy goes."""
        return (not self.topics or topic in self.topics) and (not self.lanes or lane in self.lanes)

    def may_lie_in(self, bucket: str) -> bool:
        """Say whether its recordings may lie in a bucket, as far as this policy goes."""
        return not self.buckets or bucket in self.buckets

    @pydantic.model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_built(cls, data: Any) -> Any:
        if isinstance(data, dict):
            asked = [f"{field} ({NOT_BUILT[field]})" for field in data if field in NOT_BUILT]
            if asked:
                raise ValueError(f"not built yet, so it would not be honoured: {', '.join(asked)}; remove it")
        return data

    @pydantic.model_validator(mode="after")
    def _has_a_floor_below_its_limit(self) -> TenantPolicy:
        limit, floor = self.audio_seconds_per_minute, self.floor_audio_seconds_per_minute
        if floor is not None and (limit is None or floor > limit):
            raise ValueError("floor_audio_seconds_per_minute is a part of audio_seconds_per_minute")
        return self

    @pydantic.field_validator("name")
    @classmethod
    def _is_an_id(cls, name: str) -> str:
        return identity.parse_id(name, what="tenant")


def parse_url(text: str) -> str:
    """Return the address of an endpoint; raise `ValueError` that says what it has to be, never what it is."""
    try:
        return str(_HTTP_URL.validate_python(text))
    except pydantic.ValidationError:
        raise ValueError("is no http:// or https:// address") from None


def parse_files(texts: Mapping[str, bytes]) -> dict[str, TenantPolicy]:
    """Return the policies of tenants files, by name: each a YAML list, or a mapping that holds one under `tenants`.

    Raises `errors.ConfigurationError` with every problem, one a line.
    """
    found: dict[str, TenantPolicy] = {}
    places: dict[str, str] = {}
    accounts: dict[str, str] = {}
    problems: list[str] = []
    for what, text in sorted(texts.items()):
        try:
            listed = _listed(text, what=what)
        except errors.ConfigurationError as exc:
            problems.append(str(exc))
            continue
        for at, one in enumerate(listed):
            try:
                policy = TenantPolicy.model_validate(one)
            except pydantic.ValidationError as exc:
                named = one.get("name", at) if isinstance(one, dict) else at
                problems += [_problem(what, named, each) for each in exc.errors()]
                continue
            if policy.name in found:
                beside = "" if places[policy.name] == what else f", also in {places[policy.name]}"
                problems.append(f"{what}: tenant {policy.name} is listed twice{beside}")
            if policy.twilio is not None:
                other = accounts.setdefault(policy.twilio.account_sid, policy.name)
                if other != policy.name:
                    problems.append(f"{what}: tenant {policy.name}: twilio.account_sid: is the account of {other}")
            found[policy.name] = policy
            places[policy.name] = what
    if problems:
        raise errors.ConfigurationError("\n".join(problems))
    return found


def _problem(what: str, tenant: object, found: Mapping[str, Any]) -> str:
    return f"{what}: tenant {tenant}: {'.'.join(map(str, found['loc'])) or 'policy'}: {found['msg']}"


def _listed(text: bytes, *, what: str) -> list[Any]:
    try:
        plain = _load(text.decode())
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as exc:
        raise errors.ConfigurationError(f"{what}: {' '.join(str(exc).split())}") from exc
    listed = plain.get("tenants") if isinstance(plain, dict) and set(plain) == {"tenants"} else plain
    if not isinstance(listed, list):
        raise errors.ConfigurationError(f"{what}: holds no list of tenants")
    return listed


def _load(text: str) -> Any:
    try:
        # What the operator writes is JSON, which is read a hundred times as fast.
        return json.loads(text)
    except (ValueError, RecursionError):
        return yaml.safe_load(text)


def line(policy: TenantPolicy) -> str:
    """Return a policy as it stands in a file of many, on a line of its own."""
    plain = policy.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(", ", ": "))


def file_of(lines: Iterable[str]) -> str:
    """Return a tenants file: JSON, which is YAML too, with a tenant a line."""
    inner = ",\n".join(lines)
    return f'{{"tenants": [\n{inner}\n]}}\n' if inner else '{"tenants": []}\n'
