"""One recording to one transcript, over a backend that does what it is told."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib

import doubles
import material
import numpy as np
import pytest

from aftercall.consumers import checkpoints, recognition
from aftercall.consumers.intake import delivery
from aftercall.consumers.recording import fetch
from aftercall.contracts import diarization, errors, identity, outcomes, reports, settings, transcript, windows
from aftercall.serve import testing

PLAIN = material.SAMPLES / "recordings" / "acme" / "plain.flac"


def run(
    backend: testing.FakeBackend,
    tmp_path: pathlib.Path,
    *,
    path: pathlib.Path = PLAIN,
    language: str | None = None,
    egress_host: str | None = None,
    vocabulary: tuple[str, ...] = (),
    diarizer: diarization.Diarizer | None = None,
    speakers: int | None = None,
    **overrides: object,
) -> tuple[transcript.Transcript, list[tuple[str, float | None]]]:
    """Transcribe a file; return its transcript and what was reported on the way."""
    told: list[tuple[str, float | None]] = []

    async def report(stage: reports.Stage, progress: float | None, audio_s: float | None) -> None:
        told.append((stage, progress))

    async def work() -> transcript.Transcript:
        configured = settings.load({}, overrides=overrides)  # type: ignore[arg-type]
        recognizer = recognition.Recognizer(
            backend,
            fetch.Fetcher(folders=[path.parent], max_size_bytes=10**8),
            configured,
            spool=tmp_path,
            egress_host=egress_host,
            diarizer=diarizer,
            now=lambda: doubles.NOW,
        )
        event = doubles.event(recording_uri=path.as_uri(), language=language, version="etag", vocabulary=vocabulary)
        event = event.model_copy(update={"min_speakers": speakers, "max_speakers": speakers})
        taken = delivery.Delivery(identity.Work(event.recording, "etag", 1), event, 1, 0, 0.0)
        return await recognizer.transcribe(taken, checkpoints.NoCheckpoints(), report)

    return asyncio.run(work()), told


def test_every_window_is_asked_once_and_stages_are_told_in_order(tmp_path: pathlib.Path) -> None:
    """Progress never goes back, and the spool is empty afterwards."""
    backend = testing.FakeBackend()

    made, told = run(backend, tmp_path)

    assert made.cost.windows == len(backend.asked) == len({window.window_id for window in backend.asked})
    assert {"acme"} == {window.tenant for window in backend.asked}
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert ["fetching", "decoding", "transcribing", "assembling"] == stages
    assert [] == list(tmp_path.iterdir())
    assert made.cost.audio_s == pytest.approx(2 * 46.431, abs=0.01)


def test_words_come_from_the_window_that_holds_them(tmp_path: pathlib.Path) -> None:
    """Each window's fingerprint lies in its own channel: none swapped."""
    backend = testing.FakeBackend()

    made, _ = run(backend, tmp_path)

    asked = {testing.fingerprint(window): int(window.window_id.split("/")[1]) for window in backend.asked}
    assert asked == {segment.text: segment.channel for segment in made.segments}


def test_nothing_leaves_without_the_tenants_leave(tmp_path: pathlib.Path) -> None:
    """Refused before anything is fetched; allowed where the policy lists the host."""
    backend = testing.FakeBackend()

    with pytest.raises(errors.PermanentError, match=r"stt\.example\.com") as caught:
        run(backend, tmp_path, egress_host="stt.example.com")

    assert caught.value.reason is outcomes.Reason.TENANT_POLICY
    assert [] == backend.asked
    listed = {"tenants": [{"name": "acme", "egress_hosts": ["stt.example.com"]}]}
    run(backend, tmp_path, egress_host="stt.example.com", **listed)
    assert backend.asked


@pytest.mark.parametrize(
    ("event", "tenant", "speech", "asked"),
    [
        ("es", "en", "en", "es"),
        (None, "es", "en", "es"),
        (None, None, "es", "es"),
        (None, None, None, None),
        ("es-MX", None, None, "es"),
    ],
)
def test_the_nearest_word_on_the_language_counts(
    tmp_path: pathlib.Path, event: str | None, tenant: str | None, speech: str | None, asked: str | None
) -> None:
    """The event's, else the tenant's, else the setting's, else it is detected."""
    backend = testing.FakeBackend()

    made, _ = run(
        backend,
        tmp_path,
        language=event,
        tenants=[{"name": "acme", "language": tenant}],
        speech={"language": speech},
    )

    assert {asked} == {window.options.language for window in backend.asked}
    assert made.language_source == ("requested" if asked else "detected")


def test_the_calls_and_the_tenants_terms_lead_every_window(tmp_path: pathlib.Path) -> None:
    """The call's last, where they weigh most; the transcript names them. A backend without prompts is told none."""
    backend = testing.FakeBackend()
    tenants = [{"name": "acme", "vocabulary": ["Zyrtec", "Jamie Öz"]}, {"name": "globex", "vocabulary": ["secret"]}]

    made, _ = run(backend, tmp_path, vocabulary=("Acme Prime", "zyrtec"), tenants=tenants)

    assert {"Jamie Öz, Acme Prime, zyrtec."} == {window.options.prompt for window in backend.asked}
    assert ["Jamie Öz", "Acme Prime", "zyrtec"] == made.model.options["vocabulary"]

    class Promptless(testing.FakeBackend):
        info = dataclasses.replace(
            testing.INFO, capabilities=dataclasses.replace(testing.INFO.capabilities, prompts=False)
        )

    without = Promptless()
    made, _ = run(without, tmp_path, vocabulary=("Acme Prime",), tenants=tenants)
    assert {None} == {window.options.prompt for window in without.asked}
    assert [] == made.model.options["vocabulary"]


def test_a_language_that_does_not_exist_is_rejected_before_any_work(tmp_path: pathlib.Path) -> None:
    """It would fail again."""
    backend = testing.FakeBackend()

    with pytest.raises(errors.RejectedError) as caught:
        run(backend, tmp_path, language="klingon")

    assert caught.value.reason is outcomes.Reason.UNKNOWN_LANGUAGE
    assert [] == backend.asked


def test_a_loop_is_asked_again_hotter_and_dropped_if_it_stays(tmp_path: pathlib.Path) -> None:
    """The text has none of it; the document says what was dropped and why."""
    backend = testing.FakeBackend(lambda window: testing.said(window, "thank you " * 20))

    made, _ = run(backend, tmp_path, speech={"temperatures": [0.0, 0.5]})

    assert () == made.segments
    assert {transcript.Flag.REPETITION} == {flag for one in made.dropped for flag in one.flags}
    assert made.cost.retried_windows == made.cost.windows == len(backend.asked) / 2


@pytest.mark.parametrize(
    "exc",
    [
        errors.TransientError("down", reason=outcomes.Reason.BACKEND_UNAVAILABLE),
        errors.PermanentError("no", reason=outcomes.Reason.BACKEND_REFUSED),
    ],
)
def test_a_backends_failure_is_told_as_it_is_and_leaves_nothing_running(
    tmp_path: pathlib.Path, exc: errors.AftercallError
) -> None:
    """Not as a group of errors, and the decoder is gone."""

    def fail(window: windows.Window) -> windows.WindowResult:
        raise exc

    with pytest.raises(type(exc), match=str(exc)):
        run(testing.FakeBackend(fail), tmp_path)

    assert [] == list(tmp_path.iterdir())


def test_few_windows_in_flight_are_enough(tmp_path: pathlib.Path) -> None:
    """A bound of one window makes it slower, not different."""
    one, _ = run(testing.FakeBackend(), tmp_path, speech={"max_windows_in_flight": 1})
    many, _ = run(testing.FakeBackend(), tmp_path)

    assert one.segments == many.segments


def test_models_of_a_rollout_are_named(tmp_path: pathlib.Path) -> None:
    """The backend's own, and any other that heard a window."""

    def script(window: windows.Window) -> windows.WindowResult:
        old = window.window_id.endswith("/0/0")
        return testing.said(window, " hello", heard_by="fake@0" if old else testing.INFO.signature)

    made, _ = run(testing.FakeBackend(script), tmp_path)

    assert ("1", ("fake@0",)) == (made.model.revision, made.model.others)


@pytest.mark.parametrize("switching", [False, True])
def test_a_channel_keeps_its_language_unless_it_may_switch(tmp_path: pathlib.Path, switching: bool) -> None:
    """Windows are heard as Spanish now and then: taken for the channel's only where that was asked for."""
    long = tmp_path / "long.wav"
    (tmp_path / "spool").mkdir()
    long.write_bytes(
        material.wav(np.tile(material.load(material.CALLS / "call-1.opus"), 3).T.ravel(), 16_000, channels=2)
    )

    def script(window: windows.Window) -> windows.WindowResult:
        guessed = "es" if window.window_id.endswith(("/2", "/3")) else "en"
        return testing.said(window, " hello", language=window.options.language or guessed)

    backend = testing.FakeBackend(script)
    made, _ = run(backend, tmp_path / "spool", path=long, speech={"code_switching": switching})

    assert ({None} if switching else {None, "en"}) == {window.options.language for window in backend.asked}
    assert ({"en", "es"} if switching else {"en"}) == {segment.language for segment in made.segments}
    assert ["en", "en"] == [channel.language for channel in made.channels]
    if not switching:
        assert 2 == sum(window.options.language is None for window in backend.asked)


class Halves:
    """A diarizer that gives the first ten seconds to one speaker and the rest to another, or fails."""

    info = diarization.DiarizerInfo("fake", "halves", "1")

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked: list[diarization.Conversation] = []

    async def start(self) -> None:
        """Start at once."""

    async def diarize(self, conversation: diarization.Conversation) -> tuple[diarization.Turn, ...]:
        """Answer by the clock."""
        self.asked.append(conversation)
        if self.failure is not None:
            raise self.failure
        return (diarization.Turn(5, 0.0, 10.0), diarization.Turn(2, 10.0, 60.0))

    async def close(self) -> None:
        """Close at once."""


def talkative() -> testing.FakeBackend:
    """Return a backend that hears a word a second, each another, so that none looks like a loop."""

    def script(window: windows.Window) -> windows.WindowResult:
        mark = testing.fingerprint(window)
        return testing.said(window, " ".join(f"{mark[at % 12 :]}{at}" for at in range(int(window.duration_s))))

    return testing.FakeBackend(script)


@pytest.fixture
def mono(tmp_path: pathlib.Path) -> pathlib.Path:
    """Twenty-five seconds of a call in one channel."""
    path = tmp_path / "calls" / "mono.wav"
    path.parent.mkdir()
    mixed = material.load(material.CALLS / "call-1.opus").astype("int32").sum(axis=0)[: 25 * 16_000] // 2
    path.write_bytes(material.wav(mixed.astype("int16"), 16_000))
    return path


def test_speakers_of_one_channel_are_told_apart(mono: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The diarizer is given every sample as it was decoded, and what is known of the speakers' number."""
    diarizer = Halves()
    (tmp_path / "spool").mkdir()

    made, _ = run(talkative(), tmp_path / "spool", path=mono, diarizer=diarizer, speakers=2)

    assert [(25 * 16_000 * 2, 2, 2)] == [(len(one.pcm), one.min_speakers, one.max_speakers) for one in diarizer.asked]
    assert (mono.read_bytes()[44:]) == diarizer.asked[0].pcm
    assert ["S1", "S2"] == [speaker.id for speaker in made.speakers]
    for segment in made.segments:
        assert segment.speaker == ("S1" if (segment.start_s + segment.end_s) / 2 < 10 else "S2")
    assert made.diarizer is not None
    assert "halves" == made.diarizer.pipeline
    assert "diarize" in made.timings_s
    assert [] == list((tmp_path / "spool").iterdir())


def test_channels_are_never_diarized(tmp_path: pathlib.Path) -> None:
    """A channel is a speaker."""
    diarizer = Halves()

    made, _ = run(testing.FakeBackend(), tmp_path, diarizer=diarizer)

    assert not diarizer.asked
    assert made.diarizer is None


def test_what_cannot_be_told_apart_is_flagged(mono: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Too long, or refused for good: one speaker, and a flag. What may pass is tried again later."""
    (tmp_path / "spool").mkdir()
    no = errors.PermanentError("no", reason=outcomes.Reason.BACKEND_REFUSED)
    for diarizer, more in ((Halves(no), {}), (Halves(), {"diarization": {"max_duration_s": 10}})):
        made, _ = run(talkative(), tmp_path / "spool", path=mono, diarizer=diarizer, **more)
        assert [transcript.Flag.NO_SPEAKERS] == list(made.flags)
        assert 1 == len(made.speakers)
        assert made.segments

    busy = errors.TransientError("later", reason=outcomes.Reason.BACKEND_UNAVAILABLE)
    with pytest.raises(errors.TransientError):
        run(talkative(), tmp_path / "spool", path=mono, diarizer=Halves(busy))
