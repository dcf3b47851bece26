"""A Triton model repository, written for one model, GPU and precision."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Literal

_MODEL = '''"""The Triton model `{name}`: an engine behind the tensors of `config.pbtxt`, which holds every limit."""

from __future__ import annotations

from aftercall.serve.{module} import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''
_CONFIG = """# Written by `aftercall triton render`.
name: "speech"
backend: "python"
max_batch_size: {max_batch_windows}
input [
  # JSON: window id, tenant and options (aftercall.serve.wire).
  {{ name: "HEAD" data_type: TYPE_STRING dims: [ 1 ] }},
  # 16 kHz mono samples, at most 480,000; ragged, so that windows of all lengths share a batch.
  {{ name: "PCM" data_type: TYPE_INT16 dims: [ -1 ] allow_ragged_batch: true }}
]
output [ {{ name: "ANSWER" data_type: TYPE_STRING dims: [ 1 ] }} ]
dynamic_batching {{
  max_queue_delay_microseconds: {max_wait_us}
  default_queue_policy {{ max_queue_size: {max_queue_windows} }}
}}
instance_group [ {{ count: {instances} kind: KIND_{kind} }} ]
parameters [
{parameters}
]
"""


_DIARIZATION = """# Written by `aftercall triton render`.
name: "diarization"
backend: "python"
max_batch_size: 1
input [
  # JSON: tenant, and how many may speak (aftercall.serve.turns).
  {{ name: "HEAD" data_type: TYPE_STRING dims: [ 1 ] }},
  # 16 kHz mono samples of a whole recording, at most four hours.
  {{ name: "PCM" data_type: TYPE_INT16 dims: [ -1 ] }}
]
output [ {{ name: "ANSWER" data_type: TYPE_STRING dims: [ 1 ] }} ]
dynamic_batching {{
  max_queue_delay_microseconds: 100
  default_queue_policy {{ max_queue_size: {max_queue_recordings} }}
}}
instance_group [ {{ count: {instances} kind: KIND_{kind} }} ]
parameters [
{parameters}
]
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Speech:
    """What the model `speech` is made of. `threads` 0 is the engine's own choice.

    Batches form while the engine is busy, so nothing need wait; but never 0 of `max_wait_s`: without a delay the server
    leaves a request waiting now and then for its batcher's idle half second (3 of 300 with 0, none with 1 µs and more).
    """

    model: str = "base"
    engine: Literal["ctranslate2", "tensorrt_llm"] = "ctranslate2"
    device: Literal["cpu", "cuda"] = "cpu"
    precision: str = "auto"
    threads: int = 0
    instances: int = 1
    max_batch_windows: int = 16
    max_wait_s: float = 0.0001
    max_queue_windows: int = 256


@dataclasses.dataclass(frozen=True, slots=True)
class Diarization:
    """What the model `diarization` is made of. `batch_size` is that of the pipeline's own models."""

    pipeline: str
    device: Literal["cpu", "cuda"] = "cpu"
    batch_size: int = 32
    instances: int = 1
    max_queue_recordings: int = 8


def config(speech: Speech) -> str:
    """Return the text of `config.pbtxt`; strings are quoted as JSON does, which the text format reads."""
    parameters = _parameters(speech, "engine", "model", "device", "precision", "threads")
    return _CONFIG.format(
        max_batch_windows=speech.max_batch_windows,
        max_wait_us=round(speech.max_wait_s * 1e6),
        max_queue_windows=speech.max_queue_windows,
        instances=speech.instances,
        kind="GPU" if speech.device == "cuda" else "CPU",
        parameters=parameters,
    )


def diarization_config(diarization: Diarization) -> str:
    """Return the text of the model `diarization`'s `config.pbtxt`."""
    return _DIARIZATION.format(
        max_queue_recordings=diarization.max_queue_recordings,
        instances=diarization.instances,
        kind="GPU" if diarization.device == "cuda" else "CPU",
        parameters=_parameters(diarization, "pipeline", "device", "batch_size"),
    )


def write(model: Speech | Diarization, folder: pathlib.Path) -> pathlib.Path:
    """Write a model below `folder` over what is there; return its own folder."""
    is_speech = isinstance(model, Speech)
    name, module = ("speech", "triton_model") if is_speech else ("diarization", "triton_diarization")
    target = folder / name
    (target / "1").mkdir(parents=True, exist_ok=True)
    (target / "1" / "model.py").write_text(_MODEL.format(name=name, module=module), encoding="utf-8")
    text = config(model) if isinstance(model, Speech) else diarization_config(model)
    (target / "config.pbtxt").write_text(text, encoding="utf-8")
    return target


def _parameters(model: Speech | Diarization, *names: str) -> str:
    named = {name: json.dumps(str(getattr(model, name)), ensure_ascii=False) for name in names}
    return ",\n".join(
        f"  {{ key: {json.dumps(name)} value: {{ string_value: {value} }} }}" for name, value in named.items()
    )
