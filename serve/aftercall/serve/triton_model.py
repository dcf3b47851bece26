"""What Triton's Python backend runs: one engine, and one call of it for each bucket of a batch that Triton formed.

Tensors of the contract, the same whichever engine is hosted: `HEAD` (a JSON string, see `wire`), `PCM` (int16 samples,
ragged: windows of all lengths share a batch), `ANSWER` (a JSON string). Everything else is in `parameters`.
"""

from __future__ import annotations

import abc
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aftercall.contracts import errors
from aftercall.serve import hosting


@dataclasses.dataclass(frozen=True, slots=True)
class Parameters:
    """What `config.pbtxt` says of the engine; see `triton_repository`."""

    engine: str
    model: str
    device: str
    precision: str
    threads: int

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Parameters:
        """Read a model's configuration, as Triton gives it; raise `errors.ConfigurationError` for what is missing."""
        told = {name: one["string_value"] for name, one in config.get("parameters", {}).items()}
        try:
            return cls(told["engine"], told["model"], told["device"], told["precision"], int(told["threads"]))
        except (KeyError, ValueError) as exc:
            raise errors.ConfigurationError(f"config.pbtxt: parameters: {exc} is missing or no number") from exc


def load(asked: Parameters) -> hosting.Engine:
    """Load the engine that the parameters name, and warm it."""
    engine: hosting.Engine
    match asked.engine:
        case "ctranslate2":
            from aftercall.serve.engines import ctranslate2

            engine = ctranslate2.Engine(
                asked.model, device=asked.device, precision=asked.precision, threads=asked.threads, workers=1
            )
        case "tensorrt_llm":
            from aftercall.serve.engines import tensorrt_llm

            engine = tensorrt_llm.Engine(asked.model, precision=asked.precision)
        case _:
            raise errors.ConfigurationError(f"config.pbtxt: parameters: no engine {asked.engine!r}")
    engine.warm_up()
    return engine


def request_of(head: np.ndarray[Any, Any], pcm: np.ndarray[Any, Any]) -> hosting.Request:
    """Return a request from its tensors, `[1, 1]` strings and `[1, n]` int16; raise `ValueError` for other shapes."""
    if head.shape != (1, 1) or pcm.ndim != 2 or pcm.shape[0] != 1 or pcm.dtype != np.int16:
        raise ValueError(f"HEAD {list(head.shape)}, PCM {list(pcm.shape)} {pcm.dtype}: not [1, 1] and [1, n] int16")
    told = head[0, 0]
    return hosting.Request(told if isinstance(told, bytes) else str(told).encode(), pcm.astype("<i2").tobytes())


class Hosted(abc.ABC):
    """A model of Triton's Python backend; what answers is a subclass's."""

    @abc.abstractmethod
    def answers(self, requests: Sequence[hosting.Request]) -> list[bytes]:
        """Answer the requests of a batch, in its order."""

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer every request of a batch, in its order; one that was withdrawn costs nothing. Triton calls this."""
        import triton_python_backend_utils as triton

        responses: list[Any] = [None] * len(requests)
        asked: list[tuple[int, hosting.Request]] = []
        for at, request in enumerate(requests):
            if request.is_cancelled():
                error = triton.TritonError("withdrawn", triton.TritonError.CANCELLED)
                responses[at] = triton.InferenceResponse(output_tensors=[], error=error)
                continue
            head, pcm = (triton.get_input_tensor_by_name(request, name).as_numpy() for name in ("HEAD", "PCM"))
            try:
                asked.append((at, request_of(head, pcm)))
            except ValueError as exc:
                error = triton.TritonError(str(exc), triton.TritonError.INVALID_ARG)
                responses[at] = triton.InferenceResponse(output_tensors=[], error=error)
        answers = self.answers([request for _, request in asked])
        for (at, _), answer in zip(asked, answers, strict=True):
            tensor = triton.Tensor("ANSWER", np.array([[answer]], dtype=np.object_))
            responses[at] = triton.InferenceResponse(output_tensors=[tensor])
        return responses


class TritonPythonModel(Hosted):
    """One instance of the model `speech`; Triton calls `execute` with batches, one at a time."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load and warm the engine; Triton calls the model ready once this returns."""
        self._engine = load(Parameters.read(json.loads(args["model_config"])))

    def answers(self, requests: Sequence[hosting.Request]) -> list[bytes]:
        """Transcribe windows."""
        return hosting.serve(self._engine, requests)
