"""What Triton's Python backend runs as the model `diarization`: a pyannote pipeline behind the tensors of `speech`.

A request is a whole recording, so that batches are of one: the pipeline batches within it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from aftercall.contracts import errors
from aftercall.serve import hosting, turns
from aftercall.serve.clients import diarizers
from aftercall.serve.triton_model import Hosted


def answer(pipeline: diarizers.Pipeline, request: hosting.Request) -> bytes:
    """Answer one request."""
    try:
        asked = turns.read_request(request.head, request.pcm)
        return turns.answer(pipeline.info if asked is None else pipeline.diarize(asked))
    except Exception as exc:
        # Told to the client by its type alone, whatever the pipeline says of it.
        return turns.answer(exc)


class TritonPythonModel(Hosted):
    """One instance of the model."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the pipeline; Triton calls the model ready once this returns."""
        from aftercall.serve.engines import pyannote

        told = {name: one["string_value"] for name, one in json.loads(args["model_config"])["parameters"].items()}
        try:
            name, device, batch_size = told["pipeline"], told["device"], int(told["batch_size"])
        except (KeyError, ValueError) as exc:
            raise errors.ConfigurationError(f"config.pbtxt: parameters: {exc} is missing or no number") from exc
        self._pipeline = pyannote.Pipeline(name, device=device, batch_size=batch_size)

    def answers(self, requests: Sequence[hosting.Request]) -> list[bytes]:
        """Tell speakers apart."""
        return [answer(self._pipeline, request) for request in requests]
