"""The repository that is checked in is the one that is written, and what is written is what is read."""

from __future__ import annotations

import json
import pathlib
import re

import numpy as np
import pytest

from aftercall.contracts import errors
from aftercall.serve import triton_model, triton_repository

CHECKED_IN = pathlib.Path(__file__).resolve().parents[3] / "model_repository"


@pytest.mark.parametrize("name", ["config.pbtxt", "1/model.py"])
def test_the_checked_in_repository_is_not_stale(name: str, tmp_path: pathlib.Path) -> None:
    """`aftercall triton render model_repository --model base --device cpu` has been run."""
    written = triton_repository.write(triton_repository.Speech(), tmp_path)

    assert (written / name).read_text() == (CHECKED_IN / "speech" / name).read_text()


def parameters(text: str) -> dict[str, object]:
    """Return the parameters of a config as Triton gives them."""
    found = re.findall(r'key: ("[^"]*") value: \{ string_value: ("(?:[^"\\]|\\.)*") \}', text)
    return {"parameters": {json.loads(key): {"string_value": json.loads(value)} for key, value in found}}


@pytest.mark.parametrize("model", ["base", "/models/with space/large", 'a "quoted" \\ name', "Grüße"])
def test_what_is_written_is_read(model: str) -> None:
    """Paths of any characters too."""
    speech = triton_repository.Speech(model=model, device="cuda", precision="int8_float16", threads=3)

    read = triton_model.Parameters.read(parameters(triton_repository.config(speech)))

    assert triton_model.Parameters("ctranslate2", model, "cuda", "int8_float16", 3) == read


@pytest.mark.parametrize("told", [{}, {"parameters": {"engine": {"string_value": "ctranslate2"}}}])
def test_what_is_missing_is_named(told: dict[str, object]) -> None:
    """In the server's log, at its start."""
    with pytest.raises(errors.ConfigurationError, match="parameters"):
        triton_model.Parameters.read(told)


def test_an_engine_that_does_not_exist_is_named() -> None:
    """Likewise."""
    with pytest.raises(errors.ConfigurationError, match="whispering"):
        triton_model.load(triton_model.Parameters("whispering", "base", "cpu", "auto", 1))


def test_shapes_other_than_one_window_are_refused() -> None:
    """Strings may come as text too."""
    head, pcm = np.array([["{}"]], object), np.zeros((1, 5), np.int16)
    assert b"{}" == triton_model.request_of(head, pcm).head
    for wrong in (
        (np.array([["{}"], ["{}"]], object), pcm),
        (head, np.zeros((2, 5), np.int16)),
        (head, np.zeros(5, np.int16)),
        (head, np.zeros((1, 5), np.float32)),
    ):
        with pytest.raises(ValueError, match="HEAD"):
            triton_model.request_of(*wrong)
