"""The desk: places to wait in, and which requests are the same piece of work."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator

import pytest

from aftercall.api import desk, problems
from aftercall.consumers.intake import uploads
from aftercall.contracts import events, identity, outcomes, sections, transcript, windows


class Published:
    """Outcomes by work."""

    def __init__(self) -> None:
        self.known: dict[identity.Work, outcomes.Outcome] = {}

    async def read(self, work: identity.Work) -> outcomes.Outcome | None:
        """Return what is known."""
        return self.known.get(work)

    async def read_transcript(self, outcome: outcomes.Outcome) -> transcript.Transcript | None:
        """There are none."""
        raise AssertionError(outcome)

    def decide(self, work: identity.Work, kind: outcomes.Kind) -> None:
        """Let work end."""
        self.known[work] = outcomes.Outcome(
            kind=kind,
            reason=outcomes.Reason.DECODER_DIED if kind is outcomes.Kind.DEAD else outcomes.Reason.EMPTY_FILE,
            tenant=work.recording.tenant,
            call_id="c",
            recording_id=work.recording.recording_id,
            version=work.version,
            generation=work.generation,
            transcription_id=work.transcription_id,
            decided_at=datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
        )


class Rig:
    """A desk whose uploads are kept nowhere."""

    def __init__(self, max_waiting_requests: int = 2) -> None:
        self.published = Published()
        self.announced: list[events.RecordingReady] = []
        self.desk = desk.Desk(
            sections.Api(max_waiting_requests=max_waiting_requests),
            store=self._store,
            publish=self._publish,
            published=self.published,
            listeners=None,
            models=lambda: ("whisper-1",),
        )

    async def _store(self, recording: identity.Recording, body: AsyncIterator[bytes]) -> uploads.Upload:
        return uploads.Upload(f"file:///{recording.recording_id}", "v1", len([chunk async for chunk in body]))

    async def _publish(self, event: events.RecordingReady) -> None:
        self.announced.append(event)

    async def hand_in(self, wish: desk.Wish) -> identity.Work:
        """Hand in a recording."""

        async def body() -> AsyncIterator[bytes]:
            yield b"sound"

        return await self.desk.hand_in("acme", "0" * 64, body(), wish)


def test_a_place_is_free_again_however_a_request_ends() -> None:
    """And each tenant has places of its own."""
    rig = Rig()
    for _ in range(10):
        with pytest.raises(ValueError, match="broken off"), rig.desk.place("acme"):
            raise ValueError("broken off")

    with rig.desk.place("acme"), rig.desk.place("acme"), rig.desk.place("globex"):
        with pytest.raises(problems.ProblemError) as caught, rig.desk.place("acme"):
            pass
        assert 429 == caught.value.status
    with rig.desk.place("acme"):
        pass


async def test_what_is_asked_of_a_recording_makes_it_another_piece_of_work() -> None:
    """The same again joins; another language, task or vocabulary does not."""
    rig = Rig()
    wishes = [
        desk.Wish(),
        desk.Wish(language="es"),
        desk.Wish(task=windows.Task.TRANSLATE),
        desk.Wish(vocabulary=("Acme",)),
    ]

    first = [await rig.hand_in(wish) for wish in wishes]
    again = [await rig.hand_in(wish) for wish in wishes]

    assert first == again
    assert len(wishes) == len({work.recording for work in first})
    assert [wish.task for wish in wishes] == [event.task for event in rig.announced[:4]]


@pytest.mark.parametrize(("kind", "generation"), [(outcomes.Kind.DEAD, 2), (outcomes.Kind.REJECTED, 1)])
async def test_what_failed_for_our_reasons_is_tried_anew_when_asked_again(kind: outcomes.Kind, generation: int) -> None:
    """As the next generation; what was wrong with the recording stays wrong."""
    rig = Rig()
    rig.published.decide(await rig.hand_in(desk.Wish()), kind)

    again = await rig.hand_in(desk.Wish())

    assert generation == again.generation == rig.announced[-1].generation
