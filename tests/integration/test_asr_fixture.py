"""The test model, measured on held-out calls through the project's own pipeline: what its card says is so."""

from __future__ import annotations

import asyncio
import datetime
import pathlib
import re
import statistics

import jiwer
import material
import pytest

from aftercall.consumers import checkpoints, recognition
from aftercall.consumers.intake import delivery
from aftercall.consumers.recording import fetch
from aftercall.contracts import events, identity, settings, transcript
from aftercall.serve import backends

CARD = material.MODEL / "README.md"


def stated(what: str) -> float:
    """Return a figure of the model card's table."""
    found = re.search(rf"^\| {re.escape(what)} \| ([0-9.]+)", CARD.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"the model card has no row {what!r}"
    return float(found[1])


async def transcribe(spool: pathlib.Path) -> dict[pathlib.Path, transcript.Transcript]:
    """Transcribe every held-out call as the service would, its language told."""
    configured = settings.load({}, overrides={"speech": {"model": str(material.MODEL), "temperatures": (0.0,)}})
    backend = backends.build(configured.speech)
    await backend.start()
    try:
        recognizer = recognition.Recognizer(
            backend,
            fetch.Fetcher(folders=[material.CALLS], max_size_bytes=10**8),
            configured,
            spool=spool,
            now=lambda: datetime.datetime.now(datetime.UTC),
        )

        async def silent(*_: object) -> None:
            pass

        async def one(path: pathlib.Path) -> transcript.Transcript:
            event = events.RecordingReady(
                tenant="t",
                call_id=path.stem,
                recording_id=path.stem,
                recording_uri=path.as_uri(),
                version="v",
                language=material.reference(path)["language"],
            )
            taken = delivery.Delivery(identity.Work(event.recording, "v", 1), event, 1, 0, 0.0)
            return await recognizer.transcribe(taken, checkpoints.NoCheckpoints(), silent)

        paths = sorted(material.CALLS.glob("*.opus"))
        return dict(zip(paths, await asyncio.gather(*(one(path) for path in paths)), strict=True))
    finally:
        await backend.close()


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[pathlib.Path, transcript.Transcript]:
    """The held-out calls, transcribed once."""
    return asyncio.run(transcribe(tmp_path_factory.mktemp("spool")))


def heard(made: transcript.Transcript, channel: int) -> list[transcript.Word]:
    """Return what was heard on a channel; text that the quality gate dropped counts as not heard."""
    return [word for segment in made.segments if segment.channel == channel for word in segment.words]


def test_the_word_error_rate_is_what_the_card_says(calls: dict[pathlib.Path, transcript.Transcript]) -> None:
    """Pooled over eight calls of voices that training never heard, cut by our own voice activity detection."""
    references, found = [], []
    for path, made in calls.items():
        for channel in (0, 1):
            turns = [turn["text"] for turn in material.reference(path)["turns"] if turn["channel"] == channel]
            references.append(" ".join(turns))
            found.append(" ".join(word.text for word in heard(made, channel)))
    rate = jiwer.wer(references, found)
    print(f"held-out calls: WER {rate:.3f}")

    assert rate <= stated("held-out calls, WER") + 0.01
    assert rate <= 0.10


def test_words_begin_where_the_card_says(calls: dict[pathlib.Path, transcript.Transcript]) -> None:
    """The median distance between the true start of a word and the one found, over words that were heard right."""
    distances = []
    for path, made in calls.items():
        for channel in (0, 1):
            turns = [turn for turn in material.reference(path)["turns"] if turn["channel"] == channel]
            true = [(word["text"], word["start_s"]) for turn in turns for word in turn["words"]]
            words = heard(made, channel)
            aligned = jiwer.process_words(" ".join(text for text, _ in true), " ".join(word.text for word in words))
            for chunk in aligned.alignments[0]:
                if chunk.type == "equal":
                    for at in range(chunk.ref_end_idx - chunk.ref_start_idx):
                        expected = true[chunk.ref_start_idx + at][1]
                        distances.append(abs(words[chunk.hyp_start_idx + at].start_s - expected))
    print(f"word starts: median {statistics.median(distances):.3f} s over {len(distances)} words")

    assert len(distances) > 500
    assert statistics.median(distances) <= stated("word starts, median s") + 0.01
    assert statistics.median(distances) <= 0.2
