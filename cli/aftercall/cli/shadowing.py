"""The second backend of a service, where its settings ask for one."""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Callable

from aftercall.cli import clock, speech
from aftercall.consumers import checkpoints, observer, recognition, shadow
from aftercall.consumers.intake import delivery
from aftercall.consumers.publish import objects
from aftercall.consumers.recording import fetch
from aftercall.contracts import errors, settings, tenants, transcript
from aftercall.serve import backends


class Shadowing:
    """Tries `settings.shadow` on its share of recordings; with a share of nothing there is nothing to try."""

    def __init__(
        self,
        configured: settings.Settings,
        fetcher: fetch.Fetcher,
        store: objects.ObjectStore,
        *,
        spool: pathlib.Path,
        policy_of: Callable[[str], tenants.TenantPolicy],
        observe: observer.Observer,
    ) -> None:
        self._shadow: shadow.Shadow | None = None
        if configured.shadow.share == 0:
            return
        if importlib.util.find_spec("jiwer") is None:
            raise errors.ConfigurationError("shadow.share: comparing needs the extra `eval` (aftercall[eval])")
        # A backend that is counted like the first would look like more of the first.
        self._backend = speech.backend_of(configured.shadow, observer.Unobserved())
        recognizer = recognition.Recognizer(
            self._backend,
            fetcher,
            configured.model_copy(update={"speech": configured.shadow}),
            spool=spool,
            egress_host=backends.egress_host(configured.shadow),
            policy_of=policy_of,
            now=clock.utc_now,
        )

        async def transcribe(taken: delivery.Delivery) -> transcript.Transcript:
            return await recognizer.transcribe(taken, checkpoints.NoCheckpoints(), recognition.unreported)

        self._shadow = shadow.Shadow(
            transcribe, store, share=configured.shadow.share, observe=observe, now=clock.utc_now
        )

    async def start(self) -> None:
        """Load the second model."""
        if self._shadow is not None:
            await self._backend.start()

    def consider(self, taken: delivery.Delivery, made: transcript.Transcript) -> None:
        """Compare a published recording, if it is in the share."""
        if self._shadow is not None:
            self._shadow.consider(taken, made)

    async def close(self) -> None:
        """Give up what is under way, and free the second model."""
        if self._shadow is not None:
            await self._shadow.close()
            await self._backend.close()
