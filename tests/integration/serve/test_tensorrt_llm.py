"""The TensorRT-LLM engine against a stand-in of the LLM API that enforces what the real one does."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys

import material
import numpy as np
import pytest
import tensorrt_llm_double

from aftercall.contracts import errors, outcomes, sections, windows
from aftercall.serve import backends
from aftercall.serve.engines import ctranslate2, tensorrt_llm


@pytest.fixture
def model(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A model's folder, and the stand-in in the place of the library."""
    standin = tensorrt_llm_double.module()
    monkeypatch.setitem(sys.modules, "tensorrt_llm", standin)
    monkeypatch.setitem(sys.modules, "tensorrt_llm.llmapi", standin.llmapi)
    folder = tmp_path / "whisper-tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    return folder


def spoken(n: int = 6, **options: object) -> list[windows.Window]:
    """Return windows of held-out turns."""
    asked = windows.Options(**options)  # type: ignore[arg-type]
    turns = material.sentences(n)
    return [windows.Window(f"w{at}", "acme", audio.tobytes(), asked) for at, (_, _, audio) in enumerate(turns)]


def test_each_window_is_told_what_was_said_in_it(model: pathlib.Path) -> None:
    """The text is CTranslate2's, whose weights the stand-in has, whatever order requests end in."""
    engine = tensorrt_llm.Engine(str(model))
    engine.warm_up()
    batch = spoken(language="en")

    told = engine.transcribe(batch)

    alone = ctranslate2.Engine(str(material.MODEL), device="cpu").transcribe(batch)
    assert [one.text.split() for one in alone] == [one.text.split() for one in told]
    assert [window.window_id for window in batch] == [one.window_id for one in told]
    assert sorted(engine._llm.ended) != engine._llm.ended
    assert all(one.avg_logprob is not None and one.avg_logprob < 0 for one in told)


def test_what_it_cannot_tell_it_says_so(model: pathlib.Path) -> None:
    """No word times, no no-speech probability, no prompts: None, never a made-up number."""
    engine = tensorrt_llm.Engine(str(model))
    engine.warm_up()

    can = engine.info.capabilities
    assert (False, True, False, False) == (can.word_times, can.logprobs, can.no_speech, can.prompts)
    told = engine.transcribe(spoken(1, language="en"))[0]
    assert (None, None) == (told.words, told.no_speech_probability)


def test_the_language_is_the_models_own_first_token(model: pathlib.Path) -> None:
    """Asked for one token after the start, as detection does; what CTranslate2 detects, of windows of one name too."""
    engine = tensorrt_llm.Engine(str(model))
    batch = [dataclasses.replace(one, window_id="w") for one in spoken(12)]

    told = engine.transcribe(batch)

    alone = ctranslate2.Engine(str(material.MODEL), device="cpu").transcribe(batch)
    assert [one.language for one in alone] == [one.language for one in told]
    assert {"en", "es"} == {one.language for one in told}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"language": "xx"}, errors.RejectedError),
        ({"beam_size": 5}, errors.PermanentError),
        ({"prompt": "Acme"}, errors.PermanentError),
        ({"timestamps": True}, errors.PermanentError),
    ],
)
def test_what_it_cannot_do_is_refused(
    model: pathlib.Path, options: dict[str, object], error: type[errors.PermanentError]
) -> None:
    """Before anything is asked of the GPU."""
    with pytest.raises(error):
        tensorrt_llm.Engine(str(model)).bucket(spoken(1, **options)[0])


def test_turbo_does_not_translate(model: pathlib.Path) -> None:
    """By its name, since its checkpoint does not tell."""
    turbo = model.rename(model.with_name("whisper-large-v3-turbo"))
    window = spoken(1, task=windows.Task.TRANSLATE)[0]

    with pytest.raises(errors.RejectedError) as failed:
        tensorrt_llm.Engine(str(turbo)).bucket(window)
    assert failed.value.reason is outcomes.Reason.UNSUPPORTED_OPTION


def test_a_folder_without_a_model_is_one_line(tmp_path: pathlib.Path, model: pathlib.Path) -> None:
    """Before the library is asked to load it."""
    with pytest.raises(errors.ConfigurationError, match="Hugging Face"):
        tensorrt_llm.Engine(str(tmp_path / "none"))


async def test_one_setting_chooses_it(model: pathlib.Path) -> None:
    """The same backend in this process hosts it; its batches share nothing but a moment."""
    told = {"engine": "tensorrt_llm", "model": str(model), "max_wait_s": 0.01}
    backend = backends.build(sections.Speech.model_validate(told))
    await backend.start()
    result = await backend.transcribe(spoken(1, language="en")[0])

    assert "tensorrt_llm" == backend.info.backend
    assert result.text.strip()
    await backend.close()


def test_the_double_refuses_what_the_real_one_does(model: pathlib.Path) -> None:
    """It would be no stand-in else."""
    api = sys.modules["tensorrt_llm.llmapi"]
    good = {"backend": "pytorch", "dtype": "float16", "max_batch_size": 4, "max_input_len": 1500}
    cache = api.KvCacheConfig(enable_block_reuse=False, cross_kv_cache_fraction=0.5)
    make = tensorrt_llm_double.LLM
    with pytest.raises(ValueError, match="cross_kv_cache_fraction"):
        make(str(model), **good, cuda_graph_config=None)
    with pytest.raises(AssertionError, match="CUDA"):
        make(str(model), **good, kv_cache_config=cache)
    with pytest.raises(tensorrt_llm_double.RequestError, match="1024"):
        make(str(model), **good | {"max_input_len": 1024}, cuda_graph_config=None, kv_cache_config=cache)
    llm = make(str(model), **good, cuda_graph_config=None, kv_cache_config=cache)
    for wave, rate_hz, prompt in (
        (np.zeros(31 * 16_000, np.float32), 16_000, tensorrt_llm_double.START),
        (np.zeros(8_000, np.float32), 8_000, tensorrt_llm_double.START),
        (np.zeros(8_000, np.float32), 16_000, "<|startofprev|> Acme"),
    ):
        with pytest.raises(ValueError, match=r"Whisper|prompt"):
            llm.generate_async({"prompt": prompt, "multi_modal_data": {"audio": (wave, rate_hz)}}, api.SamplingParams())
