"""The engine on an NVIDIA GPU: what it says there is what it says on a CPU, alone and in any batch.

Run with `pytest -m gpu`; nothing else here needs one.
"""

from __future__ import annotations

import random

import jiwer
import material
import numpy as np
import pytest

from aftercall.contracts import windows
from aftercall.serve.engines import ctranslate2

pytestmark = pytest.mark.gpu

WORD_TIME_S = 0.04
"""Two frames of the encoder: half precision rounds an alignment now and then to the neighbour."""


@pytest.fixture(scope="module", params=["float16", "int8_float16", "float32"])
def on_gpu(request: pytest.FixtureRequest) -> ctranslate2.Engine:
    """The test model on the GPU."""
    return ctranslate2.Engine(str(material.MODEL), device="cuda", precision=request.param, workers=2)


@pytest.fixture(scope="module")
def on_cpu() -> ctranslate2.Engine:
    """The test model on the CPU."""
    return ctranslate2.Engine(str(material.MODEL), device="cpu")


def spoken(**options: object) -> list[tuple[str, windows.Window]]:
    """Return windows of held-out turns and what was said in them."""
    return [
        (text, windows.Window(str(at), "acme", audio.tobytes(), windows.Options(**options)))  # type: ignore[arg-type]
        for at, (_, text, audio) in enumerate(material.sentences(12))
    ]


def placed(result: windows.WindowResult) -> list[tuple[str, float]]:
    """Return each word and its start."""
    return [(word.text, word.start_s) for word in result.words or ()]


def test_what_is_said_is_what_a_cpu_says(on_gpu: ctranslate2.Engine, on_cpu: ctranslate2.Engine) -> None:
    """Word error rates against the references differ by a point at most, languages not at all."""
    told = spoken()
    rates = []
    results = {}
    for engine in (on_gpu, on_cpu):
        results[engine] = engine.transcribe([window for _, window in told])
        rates.append(jiwer.wer([text for text, _ in told], [result.text.strip() for result in results[engine]]))

    assert rates[0] == pytest.approx(rates[1], abs=0.01)
    assert [one.language for one in results[on_gpu]] == [one.language for one in results[on_cpu]]


def test_results_do_not_depend_on_the_batch(on_gpu: ctranslate2.Engine) -> None:
    """Random batches give each window the text and the words it has alone, and times within two frames."""
    asked = [window for _, window in spoken()]
    alone = {window.window_id: on_gpu.transcribe([window])[0] for window in asked}
    rng = random.Random(7)
    moved = []
    for _ in range(40):
        batch = rng.sample(asked, rng.randint(2, len(asked)))
        for result in on_gpu.transcribe(batch):
            expected = alone[result.window_id]
            assert expected.text == result.text
            assert result.avg_logprob == pytest.approx(expected.avg_logprob, abs=2e-2)
            for (first, at_s), (second, now_s) in zip(placed(expected), placed(result), strict=True):
                assert first == second
                moved.append(abs(at_s - now_s))
    print(f"{len(moved)} words, moved at most {max(moved):.3f} s, {np.count_nonzero(moved)} at all")
    assert max(moved) <= WORD_TIME_S


def test_two_workers_share_the_card(on_gpu: ctranslate2.Engine) -> None:
    """Batches of two threads at once give what they give one after another."""
    import concurrent.futures

    asked = [window for _, window in spoken()]
    halves = [asked[::2], asked[1::2]] * 6
    expected = [[result.text for result in on_gpu.transcribe(half)] for half in halves]

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        found = list(threads.map(on_gpu.transcribe, halves))

    assert expected == [[result.text for result in half] for half in found]
