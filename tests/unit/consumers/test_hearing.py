"""Hearing a window until it can be trusted."""

from __future__ import annotations

import dataclasses

import doubles
import pytest

from aftercall.consumers import checkpoints, hearing
from aftercall.consumers.transcript import quality
from aftercall.contracts import identity, windows
from aftercall.serve import testing

FACTS = quality.WindowFacts(duration_s=2.0, speech=((0.2, 1.7),))
WORK = doubles.taken().work
WINDOW = windows.Window("w", "acme", bytes(64_000), windows.Options(beam_size=5))


class Memory:
    """Checkpoints in a dictionary; implements `checkpoints.Checkpoints`."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    async def get(self, work: identity.Work, digest: str) -> bytes | None:
        """Look it up."""
        return self.held.get(digest)

    async def put(self, work: identity.Work, digest: str, result: bytes) -> None:
        """Keep it."""
        self.held[digest] = result

    async def clear(self, work: identity.Work) -> None:
        """Forget everything."""
        self.held.clear()


def looping_until(temperature: float) -> testing.FakeBackend:
    """A backend that loops below a temperature."""

    def script(window: windows.Window) -> windows.WindowResult:
        good = window.options.temperature >= temperature
        return testing.said(window, "hello this is anna" if good else "thank you " * 20)

    return testing.FakeBackend(script)


async def hear(backend: testing.FakeBackend, kept: checkpoints.Checkpoints) -> hearing.Heard:
    """Hear the window."""
    return await hearing.Hearing(backend, kept, WORK, temperatures=(0.0, 0.2, 0.4)).hear(WINDOW, FACTS)


async def test_a_bad_result_goes_back_without_its_prompt() -> None:
    """It may be what the model loops on."""
    backend = looping_until(0.2)
    led = dataclasses.replace(WINDOW, options=dataclasses.replace(WINDOW.options, prompt="Acme Prime."))

    await hearing.Hearing(backend, Memory(), WORK, temperatures=(0.0, 0.2)).hear(led, FACTS)

    assert ["Acme Prime.", None] == [window.options.prompt for window in backend.asked]


async def test_a_bad_result_goes_back_hotter_as_one_more_window() -> None:
    """At rising temperatures, each sampled with one beam, until it is good."""
    backend = looping_until(0.4)

    heard = await hear(backend, Memory())

    assert heard.verdict.accepted
    assert heard.attempts == 3
    assert [(0.0, 5), (0.2, 1), (0.4, 1)] == [
        (asked.options.temperature, asked.options.beam_size) for asked in backend.asked
    ]


async def test_what_stays_bad_is_returned_with_its_flags() -> None:
    """Nothing is made up."""
    heard = await hear(looping_until(2.0), Memory())

    assert not heard.verdict.accepted
    assert heard.attempts == 3


async def test_what_was_heard_before_is_not_asked_again() -> None:
    """Not after a kill, and not under another window's name."""
    kept, backend = Memory(), looping_until(0.2)
    first = await hear(backend, kept)

    renamed = dataclasses.replace(WINDOW, window_id="other")
    again = await hearing.Hearing(backend, kept, WORK, temperatures=(0.0, 0.2, 0.4)).hear(renamed, FACTS)

    assert len(backend.asked) == 2
    assert again.result == dataclasses.replace(first.result, window_id="other")


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(WINDOW, pcm=bytes(64_002)),
        dataclasses.replace(WINDOW, options=windows.Options(language="en")),
    ],
)
def test_another_question_has_another_digest(other: windows.Window) -> None:
    """Audio, options and model all count."""
    assert checkpoints.digest_of(WINDOW, testing.INFO) != checkpoints.digest_of(other, testing.INFO)
    newer = dataclasses.replace(testing.INFO, revision="2")
    assert checkpoints.digest_of(WINDOW, testing.INFO) != checkpoints.digest_of(WINDOW, newer)


async def test_a_checkpoint_of_another_shape_is_asked_again() -> None:
    """An upgrade reads what it can and asks for the rest."""
    kept, backend = Memory(), looping_until(0.0)
    await kept.put(WORK, checkpoints.digest_of(WINDOW, testing.INFO), b'{"old": 1}')

    assert (await hear(backend, kept)).verdict.accepted
    assert len(backend.asked) == 1
