"""Send a recording of nobody the whole way, wait for its transcript, and take away what came of it."""

from __future__ import annotations

import dataclasses
import secrets
import typing
from collections.abc import Awaitable, Callable

from aftercall.cli import babble
from aftercall.consumers.publish import objects, outcome
from aftercall.contracts import documents, errors, events, identity, outcomes

DURATION_S = 6.0
_LOOK_S = 1.0


class Platform(typing.Protocol):
    """What a rehearsal needs of a deployment."""

    @property
    def inbox(self) -> objects.ObjectStore:
        """Return the bucket that the recording is put into."""
        ...

    @property
    def store(self) -> objects.ObjectStore:
        """Return the bucket of outcomes and transcripts."""
        ...

    async def announce(self, event: events.RecordingReady) -> None:
        """Announce the recording."""
        ...

    async def where(self, tenant: str, recording_id: str) -> str | None:
        """Return where it is, in words; None when nothing is known of it."""
        ...

    async def delete(self, recording: identity.Recording) -> None:
        """Delete what was made of it, for good."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How it ended."""

    ok: bool
    said: str
    recording_id: str
    took_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Rehearsal:
    """One recording, of one tenant, in one bucket. `wait(s)` is true when the command is told to stop meanwhile."""

    platform: Platform
    tenant: str
    bucket: str
    clock: Callable[[], float]
    wait: Callable[[float], Awaitable[bool]]

    async def run(self, *, timeout_s: float) -> Verdict:
        """Send, wait, and clean up whatever happened; raises what the stores raise."""
        # Never the same id again: what is deleted stays deleted.
        id_ = f"check-{secrets.token_hex(6)}"
        recording = identity.Recording(self.tenant, id_)
        key = f"{self.tenant}/{id_}.wav"
        began = self.clock()
        await self.platform.inbox.put(key, babble.wav(DURATION_S, seed=secrets.randbits(32)))
        try:
            await self.platform.announce(
                events.RecordingReady(
                    tenant=self.tenant, call_id=id_, recording_id=id_, recording_uri=f"s3://{self.bucket}/{key}"
                )
            )
            ended = await self._ended(recording, until=began + timeout_s)
            ok, said = await self._judge(recording, ended, timeout_s)
        finally:
            await self.platform.inbox.delete(key)
            await self.platform.delete(recording)
        return Verdict(ok, said, id_, self.clock() - began)

    async def _ended(self, recording: identity.Recording, *, until: float) -> outcomes.Outcome | None:
        while True:
            for key in await self.platform.store.keys(recording.outcomes_prefix):
                data = await self.platform.store.get(key)
                if data is not None and key != recording.tombstone_key:
                    return documents.parse(outcomes.Outcome, data, what=key)
            if self.clock() >= until or await self.wait(_LOOK_S):
                return None

    async def _judge(
        self, recording: identity.Recording, ended: outcomes.Outcome | None, timeout_s: float
    ) -> tuple[bool, str]:
        if ended is None:
            where = await self.platform.where(recording.tenant, recording.recording_id)
            known = where or "nothing has taken it: is a consumer running, in this group and on this topic?"
            return False, f"no outcome within {timeout_s:.0f} s: {known}"
        if ended.kind is not outcomes.Kind.CANONICAL:
            return False, f"ended {ended.kind} ({ended.reason}): {ended.message or 'no message'}"
        made = await outcome.Reader(self.platform.store).read_transcript(ended)
        if made is None:
            return False, f"its outcome names {ended.transcript_key}, and there is nothing"
        if made.cost.windows == 0:
            return False, "a transcript came, but no window was heard: voice detection found no speech in it"
        return True, f"transcribed by {made.model.name} on {made.model.backend}, {made.cost.windows} windows heard"


def first_allowed(names: dict[str, tuple[str, ...]], tenant: str, *, what: str) -> str:
    """Return the first of some topics or buckets, by the tenants bound to each, that the tenant may use."""
    for name, tenants in names.items():
        if not tenants or tenant in tenants:
            return name
    raise errors.ConfigurationError(f"--tenant: {tenant} may use none of the {what}: {', '.join(names) or 'none'}")
