"""The watch of pools and tenants, by kopf: it tells at once what lists would show seconds later.

kopf runs in a thread with a loop of its own. It takes signals, cancels tasks that it did not begin, and ends for good
on some answers of the API server; apart, it can be begun anew, and nothing else notices. Its handlers only tell: no
finalizer, no annotation and no status is ever written by it, so that a pool can be deleted while no operator runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pathlib
import threading
import typing
from collections.abc import Callable, Mapping
from typing import Any

from aftercall.contracts import crds
from aftercall.operator import kube

if typing.TYPE_CHECKING:
    import kopf

log = logging.getLogger(__name__)

Tell = Callable[[kube.Resource, str | None, Mapping[str, Any]], None]
"""Hears of a change, on the loop that the watch was made in: of what, `DELETED` or another or None, and the object."""

_AGAIN_S = 5.0
_SERVICE_ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Watch:
    """Watches a namespace until it is told to stop, and begins anew when it has ended."""

    def __init__(self, namespace: str, tell: Tell, *, answer_s: float = 10.0, inactivity_s: float = 70.0) -> None:
        self._namespace = namespace
        self._tell = tell
        self._answer_s = answer_s
        self._inactivity_s = inactivity_s

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch until `stopping`."""
        logging.getLogger("kopf").setLevel(logging.WARNING)
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it minds that signals are not its own
        loop = asyncio.get_running_loop()
        while not stopping.is_set():
            ended, stop = asyncio.Event(), threading.Event()
            thread = threading.Thread(
                target=self._watch, args=(loop, stop, ended), name="watch", daemon=True
            )  # a daemon: one that hangs is no reason to live on
            thread.start()
            waiting = [asyncio.create_task(each.wait()) for each in (stopping, ended)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
            stop.set()
            if stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), _AGAIN_S)
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _AGAIN_S)

    def _watch(self, loop: asyncio.AbstractEventLoop, stop: threading.Event, ended: asyncio.Event) -> None:
        import kopf

        def tell(resource: kube.Resource, change: str | None, body: Mapping[str, Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody listens any more
                loop.call_soon_threadsafe(self._tell, resource, change, body)

        try:
            asyncio.run(
                kopf.operator(
                    registry=_registry(tell),
                    settings=self._settings(),
                    namespaces=[self._namespace],
                    standalone=True,
                    stop_flag=stop,
                )
            )
        except Exception as exc:  # whatever it dies of: it is begun anew, and lists go on meanwhile
            log.warning("watch ended", extra={"error": f"{type(exc).__name__}: {exc}"})
        finally:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

    def _settings(self) -> kopf.OperatorSettings:
        import kopf

        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.process.ultimate_exiting_timeout = None
        settings.networking.request_timeout = self._answer_s
        settings.networking.connect_timeout = self._answer_s
        settings.watching.inactivity_timeout = self._inactivity_s
        settings.watching.connect_timeout = self._answer_s
        # Nothing of it is written; if ever anything is, it bears our name.
        settings.persistence.finalizer = f"{crds.GROUP}/operator"
        settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=crds.GROUP)
        settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=crds.GROUP)
        return settings


def _registry(tell: Tell) -> kopf.OperatorRegistry:
    import kopf

    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)  # type: ignore[untyped-decorator]
    def login(**known: Any) -> Any:
        if _SERVICE_ACCOUNT.exists():
            return kopf.login_with_service_account(**known)
        return kopf.login_with_kubeconfig(**known)

    def follow(resource: kube.Resource) -> None:
        @kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)  # type: ignore[untyped-decorator]
        async def changed(type: str | None, body: Mapping[str, Any], **_: Any) -> None:  # noqa: A002
            tell(resource, type, dict(body))

    follow(kube.POOLS)
    follow(kube.TENANTS)
    return registry
