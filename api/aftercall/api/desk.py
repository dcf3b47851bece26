"""The desk: a request hands in a recording and waits for what becomes of it, in the order that events keep too."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from aftercall.api import problems, service
from aftercall.consumers import live
from aftercall.consumers.intake import uploads
from aftercall.contracts import events, identity, outcomes, sections, windows

_FIRST_LOOK_S = 0.05
_LONGEST_LOOK_S = 2.0
_MAX_TRIES = 100

Store = Callable[[identity.Recording, AsyncIterator[bytes]], Awaitable[uploads.Upload]]
Publish = Callable[[events.RecordingReady], Awaitable[object]]


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a recording."""

    language: str | None = None
    task: windows.Task = windows.Task.TRANSCRIBE
    vocabulary: tuple[str, ...] = ()


class Desk:
    """Takes recordings of requests: keeps each, announces it as an event, and reads its outcome.

    The recording's id is made of its content and of what is asked of it, so that a client that asks again, as OpenAI's
    does after a failure, joins the work that is under way, or is given what came of it.
    """

    def __init__(
        self,
        configured: sections.Api,
        *,
        store: Store,
        publish: Publish,
        published: service.Published,
        listeners: live.Listeners | None,
        models: Callable[[], tuple[str, ...]],
    ) -> None:
        self._configured = configured
        self._store = store
        self._publish = publish
        self._published = published
        self._listeners = listeners
        self._models = models
        self._waiting: collections.Counter[str] = collections.Counter()

    @property
    def max_bytes(self) -> int:
        """Bytes of a recording that are taken."""
        return self._configured.max_upload_bytes

    @property
    def models(self) -> tuple[str, ...]:
        """Names that clients may ask for; all mean the model that is served."""
        return self._models()

    @contextlib.contextmanager
    def place(self, tenant: str) -> Iterator[None]:
        """Hold one of the tenant's places to wait in; refuse who comes when all are taken."""
        if self._waiting[tenant] >= self._configured.max_waiting_requests:
            raise problems.ProblemError(
                429,
                f"{self._waiting[tenant]} requests of this tenant wait already; try again when one has been answered",
                headers={"Retry-After": "5"},
            )
        self._waiting[tenant] += 1
        try:
            yield
        finally:
            self._waiting[tenant] -= 1

    async def hand_in(self, tenant: str, digest: str, body: AsyncIterator[bytes], wish: Wish) -> identity.Work:
        """Keep and announce a recording whose content has this SHA-256; return the work that it became."""
        parts = json.dumps([digest, wish.language, wish.task, wish.vocabulary])
        id_ = "audio-" + hashlib.sha256(parts.encode()).hexdigest()[:32]
        recording = identity.Recording(tenant, id_)
        kept = await self._store(recording, body)
        # What failed for our own reasons is tried anew when somebody asks again: the next generation.
        for generation in range(1, _MAX_TRIES):
            work = identity.Work(recording, kept.version, generation)
            decided = await self._published.read(work)
            if decided is None or decided.kind is not outcomes.Kind.DEAD:
                break
        await self._publish(
            events.RecordingReady(
                tenant=tenant,
                call_id=id_,
                recording_id=id_,
                recording_uri=kept.uri,
                version=kept.version,
                generation=work.generation,
                language=wish.language,
                vocabulary=wish.vocabulary,
                task=wish.task,
            )
        )
        return work

    async def decided(self, work: identity.Work) -> outcomes.Outcome:
        """Wait for an outcome; end the request when that takes too long: the work itself goes on."""
        look_s = _FIRST_LOOK_S
        try:
            async with asyncio.timeout(self._configured.wait_s):
                while True:
                    decided = await self._published.read(work)
                    if decided is not None:
                        return decided
                    await asyncio.sleep(look_s)
                    look_s = min(_LONGEST_LOOK_S, look_s * 1.2)
        except TimeoutError as exc:
            raise problems.ProblemError(
                504,
                f"not done within {self._configured.wait_s:g} s; the work goes on, send the same again to wait for it",
                headers={"Retry-After": "1"},
                code="still_in_work",
            ) from exc

    @property
    def published(self) -> service.Published:
        """Where transcripts are read."""
        return self._published

    def listen(self, work: identity.Work) -> contextlib.AbstractContextManager[live.Line | None]:
        """Hear what is said in a recording while it is being transcribed; None where that is done elsewhere."""
        if self._listeners is None:
            return contextlib.nullcontext()
        return self._listeners.listen(work.transcription_id)
