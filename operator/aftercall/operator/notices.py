"""Events: what was changed of a pool, and why, where people look for it (`kubectl describe`)."""

from __future__ import annotations

import datetime
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from aftercall.contracts import errors
from aftercall.operator import kube

log = logging.getLogger(__name__)

COMPONENT = "aftercall-operator"
_MOST = 1024


class Notices:
    """Posts Events. One that cannot be posted is logged, and stops nothing."""

    def __init__(self, client: kube.Kubernetes, *, utc: Callable[[], datetime.datetime]) -> None:
        self._client = client
        self._utc = utc

    async def post(self, about: Mapping[str, Any], reason: str, message: str, *, is_warning: bool = False) -> None:
        """Post an Event about an object."""
        metadata = about["metadata"]
        now = self._utc().astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # Names are ours: what the server makes of a prefix may be told twice when an answer is lost.
        name = f"{metadata['name'][:200]}.{secrets.token_hex(8)}"
        body = {
            "metadata": {"name": name},
            "involvedObject": {
                "apiVersion": about.get("apiVersion"),
                "kind": about.get("kind"),
                "name": metadata["name"],
                "namespace": self._client.namespace,
                "uid": metadata.get("uid"),
                "resourceVersion": metadata.get("resourceVersion"),
            },
            "reason": reason,
            "message": message[:_MOST],
            "type": "Warning" if is_warning else "Normal",
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._client.create(kube.EVENTS, body)
        except errors.AftercallError as exc:
            log.warning("event not posted", extra={"reason": reason, "error": str(exc)})
