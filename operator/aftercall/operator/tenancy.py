"""Tenants, compiled into the files that consumers, relay and API read: each a ConfigMap's worth, equal for equal input.

A tenant stands in one file, chosen by its id alone: another tenant moves it never, another file seldom (rendezvous
hashing: Thaler and Ravishankar, IEEE/ACM Transactions on Networking, 1998). What is broken is left out, with a finding,
and disturbs nobody else.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from typing import Any

from aftercall.contracts import errors, tenancy, tenants
from aftercall.operator import conditions, grants

MAX_FILE_BYTES = 1 << 20
"""What a ConfigMap holds."""
_SEPARATOR_BYTES = len(",\n")


class Reason(enum.StrEnum):
    """What became of a tenant."""

    COMPILED = "Compiled"
    INVALID = "Invalid"
    ID_TAKEN = "IdTaken"
    ACCOUNT_TAKEN = "AccountTaken"
    NO_ROOM = "NoRoom"


COMPILED = conditions.Finding(conditions.Status.TRUE, Reason.COMPILED, "consumers, relay and API are given it")
"""Of a tenant without another finding."""


def compile_tenants(
    found: Mapping[str, Mapping[str, Any]], *, max_consumers: int, shards: int
) -> tuple[tuple[str, ...], dict[str, conditions.Finding]]:
    """Return `shards` tenants files, and a finding for each tenant that stands in none.

    `found` are specifications by the name of their object, the oldest first: of two with one id, or one account, the
    older keeps it, and where a file is full, it is the newer that finds no room. `max_consumers` is how many there may
    be of all pools together; floors are set aside for as many.
    """
    findings: dict[str, conditions.Finding] = {}
    owners: dict[str, str] = {}
    accounts: dict[str, str] = {}
    lines: list[dict[str, str]] = [{} for _ in range(shards)]
    empty = len(tenants.file_of([""]).encode())
    sizes = [empty] * shards
    for name, spec in found.items():
        try:
            read = tenancy.parse(name, spec)
        except errors.ContractError as exc:
            findings[name] = _broken(Reason.INVALID, str(exc))
            continue
        id_, account = str(read.id), None if read.twilio is None else read.twilio.account_sid
        if id_ in owners:
            said = f"spec.id: {id_} is the id of Tenant {owners[id_]}, which is older"
            findings[name] = _broken(Reason.ID_TAKEN, said)
            continue
        if account is not None and account in accounts:
            said = f"spec.twilio.accountSid: is the account of Tenant {accounts[account]}, which is older"
            findings[name] = _broken(Reason.ACCOUNT_TAKEN, said)
            continue
        line = tenants.line(tenancy.policy(read, floor_audio_seconds_per_minute=_floor(read, max_consumers)))
        at = _shard(id_, shards)
        size = len(line.encode()) + _SEPARATOR_BYTES
        if sizes[at] + size > MAX_FILE_BYTES:
            said = (
                f"ConfigMap {at + 1} of {shards} has {MAX_FILE_BYTES - sizes[at]} bytes left, and this tenant takes"
                f" {size}; shorten vocabularies, or give the operator more ConfigMaps (operator.tenants_config_maps)"
            )
            findings[name] = _broken(Reason.NO_ROOM, said)
            continue
        sizes[at] += size
        lines[at][id_] = line
        owners[id_] = name
        if account is not None:
            accounts[account] = name
    return tuple(tenants.file_of(one[id_] for id_ in sorted(one)) for one in lines), findings


def _broken(reason: Reason, message: str) -> conditions.Finding:
    return conditions.Finding(conditions.Status.FALSE, reason, message)


def _floor(read: tenancy.Tenant, max_consumers: int) -> float | None:
    if read.audio_seconds_per_minute is None:
        return None
    return 60 * grants.Limit(read.audio_seconds_per_minute / 60, max(1, max_consumers)).floor_per_s


def _shard(id_: str, shards: int) -> int:
    def weight(at: int) -> bytes:
        return hashlib.blake2b(f"{at}/{id_}".encode(), digest_size=8).digest()

    return max(range(shards), key=weight)
