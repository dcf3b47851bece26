"""A Triton model repository, written for one model, GPU and precision."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Literal

_MODEL = '''"""The Triton model `speech`: an engine behind the tensors of `config.pbtxt`, which holds every limit."""

from __future__ import annotations

from aftercall.serve.triton_model import TritonPythonModel

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


@dataclasses.dataclass(frozen=True, slots=True)
class Speech:
    """What the model `speech` is made of. `threads` 0 is the engine's own choice.

    Batches form while the engine is busy, so nothing need wait; but never 0 of `max_wait_s`: without a delay the server
    leaves a request waiting now and then for its batcher's idle half second (3 of 300 with 0, none with 1 µs and more).
    """

    model: str = "base"
    engine: Literal["ctranslate2"] = "ctranslate2"
    device: Literal["cpu", "cuda"] = "cpu"
    precision: str = "auto"
    threads: int = 0
    instances: int = 1
    max_batch_windows: int = 16
    max_wait_s: float = 0.0001
    max_queue_windows: int = 256


def config(speech: Speech) -> str:
    """Return the text of `config.pbtxt`; strings are quoted as JSON does, which the text format reads."""
    named = {name: str(getattr(speech, name)) for name in ("engine", "model", "device", "precision", "threads")}
    parameters = ",\n".join(
        f"  {{ key: {json.dumps(name)} value: {{ string_value: {json.dumps(value, ensure_ascii=False)} }} }}"
        for name, value in named.items()
    )
    return _CONFIG.format(
        max_batch_windows=speech.max_batch_windows,
        max_wait_us=round(speech.max_wait_s * 1e6),
        max_queue_windows=speech.max_queue_windows,
        instances=speech.instances,
        kind="GPU" if speech.device == "cuda" else "CPU",
        parameters=parameters,
    )


def write(speech: Speech, folder: pathlib.Path) -> pathlib.Path:
    """Write the repository below `folder` over what is there; return the folder of the model."""
    target = folder / "speech"
    (target / "1").mkdir(parents=True, exist_ok=True)
    (target / "1" / "model.py").write_text(_MODEL, encoding="utf-8")
    (target / "config.pbtxt").write_text(config(speech), encoding="utf-8")
    return target
