"""Speech, windows and the way back to call time: nothing lost, nothing doubled, whatever the blocks."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.consumers.recording import speech, windows

FRAMES = st.lists(
    st.tuples(st.integers(1, 60), st.booleans()),  # frames in a row, speech or not
    min_size=1,
    max_size=40,
)


def signal(runs: list[tuple[int, bool]], stretch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return (probability, RMS) of runs of speech and silence."""
    probability = np.concatenate([np.full(n * stretch, 0.9 if on else 0.05, dtype=np.float32) for n, on in runs])
    rng = np.random.default_rng(len(runs))
    rms = np.where(probability > 0.5, 0.1, 0.0005) * rng.uniform(0.5, 1, len(probability))
    return probability, rms.astype(np.float32)


def find(probability: np.ndarray, rms: np.ndarray, sizes: list[int]) -> list[speech.Piece]:
    """Feed a finder in blocks of the given sizes, over and over."""
    finder, pieces, at = speech.SpeechFinder(), [], 0
    for size in itertools.cycle(sizes):
        if at >= len(probability):
            break
        pieces += finder.feed(probability[at : at + size], rms[at : at + size])
        at += size
    return pieces + finder.finish(len(probability) * speech.FRAME_SAMPLES)


@given(FRAMES, st.lists(st.integers(1, 97), min_size=1, max_size=5), st.sampled_from([1, 40]))
def test_pieces_do_not_depend_on_blocks_and_never_overlap(
    runs: list[tuple[int, bool]], sizes: list[int], stretch: int
) -> None:
    """Pieces are in order, apart, at most 30 s long, and cover every run of speech that is long enough."""
    probability, rms = signal(runs, stretch)

    pieces = find(probability, rms, sizes)

    assert pieces == find(probability, rms, [len(probability)])
    for one, other in itertools.pairwise(pieces):
        assert one.span.end <= other.span.start
    n_samples = len(probability) * speech.FRAME_SAMPLES
    covered = np.zeros(len(probability), dtype=bool)
    for piece in pieces:
        assert 0 <= piece.span.start <= piece.speech.start < piece.speech.end <= piece.span.end <= n_samples
        assert piece.span.n_samples <= windows.MAX_WINDOW_SAMPLES
        covered[piece.speech.start // 512 : -(-piece.speech.end // 512)] = True
    at = 0
    for n, on in runs:
        if on and n * stretch >= 4:
            assert covered[at : at + n * stretch].all()
        at += n * stretch


PIECES = st.lists(st.tuples(st.integers(0, 600_000), st.integers(600, 470_000)), max_size=30)


def pieces_of(shape: list[tuple[int, int]]) -> list[speech.Piece]:
    """Build pieces from gaps and lengths in samples."""
    found, at = [], 0
    for gap, length in shape:
        start = at + gap
        found.append(speech.Piece(speech.Span(start, start + length), speech.Span(start + 100, start + length - 100)))
        at = start + length
    return found


@given(PIECES)
def test_windows_hold_every_sample_of_every_piece_once(shape: list[tuple[int, int]]) -> None:
    """No sample of speech is lost and none doubled; no window is longer than 30 s."""
    pieces = pieces_of(shape)

    plans = windows.merge(pieces)

    assert [piece.span for piece in pieces] == [span for plan in plans for span in plan.time_map.spans]
    assert [piece.speech for piece in pieces] == [span for plan in plans for span in plan.speech]
    for plan in plans:
        assert 0 < plan.time_map.n_samples <= windows.MAX_WINDOW_SAMPLES


@given(PIECES.filter(len), st.lists(st.floats(0, 1), min_size=2, max_size=20))
@settings(max_examples=50)
def test_call_time_runs_forward_and_stays_inside_the_pieces(shape: list[tuple[int, int]], places: list[float]) -> None:
    """A later window time is never an earlier call time, and each lies in the piece it came from."""
    for plan in windows.merge(pieces_of(shape)):
        length_s = plan.time_map.n_samples / windows.SAMPLE_RATE_HZ
        times = [plan.time_map.to_call_s(place * length_s) for place in sorted(places)]

        assert times == sorted(times)
        for call_s in times:
            assert any(
                span.start <= call_s * windows.SAMPLE_RATE_HZ + 1 and call_s * windows.SAMPLE_RATE_HZ - 1 <= span.end
                for span in plan.time_map.spans
            )


@given(PIECES.filter(len), st.integers(0, 10**6))
def test_each_sample_maps_back_to_where_it_was(shape: list[tuple[int, int]], pick: int) -> None:
    """The n-th sample of a window is the n-th sample of its spans."""
    for plan in windows.merge(pieces_of(shape)):
        at = pick % plan.time_map.n_samples
        before = 0
        for span in plan.time_map.spans:
            if at < before + span.n_samples:
                break
            before += span.n_samples

        call_s = plan.time_map.to_call_s(at / windows.SAMPLE_RATE_HZ)

        assert round(call_s * windows.SAMPLE_RATE_HZ) == span.start + at - before
