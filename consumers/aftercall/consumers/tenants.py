"""Tenants' policies as they are now: from the settings, or from files that are read again when they change."""

from __future__ import annotations

import asyncio
import logging
import pathlib
import urllib.parse
from collections.abc import Callable

from aftercall.consumers import observer
from aftercall.consumers.intake import admission, granted, turns
from aftercall.contracts import errors, metrics, settings
from aftercall.contracts import tenants as contract

log = logging.getLogger(__name__)

_LOOK_S = 2.0
_SHORTEST_BURST_S = 30.0


class Tenants:
    """Policies by name; a tenant that is not listed gets the defaults, or, beside a file, waits until it is.

    A file, or a folder of them, is taken as a whole or not at all: with a mistake anywhere the last good one stays, and
    metric and log say so. It is compared by content, since a mounted ConfigMap changes by its links.
    """

    def __init__(self, configured: settings.Settings, observe: observer.Observer) -> None:
        self._path = configured.intake.tenants_file
        self._observe = observe
        self._texts: dict[str, bytes] = {}
        self.granted: granted.Granted | None = None
        """What the operator granted of limits; None: nobody is reported to, and limits are this consumer's alone."""
        self._policies = {policy.name: policy for policy in configured.tenants}
        if self._path is not None:
            self._texts = _read_all(self._path)
            self._policies = contract.parse_files(self._texts)

    def __len__(self) -> int:
        """Return how many have a policy of their own."""
        return len(self._policies)

    @property
    def listed(self) -> list[contract.TenantPolicy]:
        """Every policy that there is."""
        return list(self._policies.values())

    def policy(self, name: str) -> contract.TenantPolicy:
        """Return a tenant's policy."""
        return self._policies.get(name) or contract.TenantPolicy(name=name)

    def is_known(self, name: str) -> bool:
        """Say whether a tenant may be served: any, unless a file lists those that are."""
        return self._path is None or name in self._policies

    def twilio_account(self, account_sid: str) -> tuple[str, str] | None:
        """Return whose an account with Twilio is, and its token; None for one that nobody has."""
        for policy in self._policies.values():
            if policy.twilio is not None and policy.twilio.account_sid == account_sid:
                return policy.name, _read(policy.twilio.auth_token_file).decode().strip()
        return None

    def credentials(self, uri: str, tenant: str) -> tuple[str, str] | None:
        """Return what a tenant's recording is fetched with, user and password; None where its address is not the place.

        They go to the account's own host and over TLS only, or to this machine.
        """
        account, parts = self.policy(tenant).twilio, urllib.parse.urlsplit(uri)
        if account is None or parts.hostname != account.host:
            return None
        if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "::1"}:
            return None
        return account.account_sid, _read(account.auth_token_file).decode().strip()

    def terms(self, name: str) -> turns.Terms:
        """Return what a tenant's policy means for whose turn it is."""
        policy = self.policy(name)
        limit = None
        if policy.audio_seconds_per_minute is not None:
            burst_s = policy.burst_audio_seconds or policy.audio_seconds_per_minute
            limit = admission.Limit(policy.audio_seconds_per_minute / 60, max(_SHORTEST_BURST_S, burst_s))
            if self.granted is not None and policy.floor_audio_seconds_per_minute is not None:
                limit = granted.limit_of(limit, policy.floor_audio_seconds_per_minute / 60, self.granted, name)
        return turns.Terms(policy.weight, limit, policy.concurrency)

    async def watch(self, stopping: asyncio.Event, changed: Callable[[], None] = lambda: None) -> None:
        """Look at the file every two seconds until `stopping`, and call `changed` when policies are others."""
        while not stopping.is_set():
            if await asyncio.to_thread(self.look):
                changed()
            try:
                async with asyncio.timeout(_LOOK_S):
                    await stopping.wait()
            except TimeoutError:
                pass

    def look(self) -> bool:
        """Take the file's content if it has changed and is good; say whether it was taken."""
        if self._path is None:
            return False
        is_taken = False
        try:
            texts = _read_all(self._path)
            if texts != self._texts:
                self._policies = contract.parse_files(texts)
                self._texts = texts
                is_taken = True
                log.info("tenants read", extra={"tenants": len(self._policies)})
        except errors.ConfigurationError as exc:
            self._observe.set(metrics.TENANTS_INVALID, 1)
            log.error("tenants not taken", extra={"problem": str(exc)})
        else:
            self._observe.set(metrics.TENANTS_INVALID, 0)
        return is_taken


def _read_all(path: pathlib.Path) -> dict[str, bytes]:
    """Return what a file holds, or every `*.yaml` of a folder and of the folders in it, by its path.

    ConfigMaps that are mounted beside each other are such folders; what begins with a dot is Kubernetes' own.
    """
    try:
        if not path.is_dir():
            return {str(path): _read(path)}
        folders = [path, *sorted(one for one in path.iterdir() if one.is_dir() and not one.name.startswith("."))]
        found = [one for folder in folders for one in sorted(folder.glob("*.yaml")) if not one.name.startswith(".")]
    except OSError as exc:
        raise errors.ConfigurationError(f"tenants folder {path}: {exc.strerror}") from exc
    return {str(one): _read(one) for one in found if one.is_file()}


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise errors.ConfigurationError(f"tenants file {path}: {exc.strerror}") from exc
