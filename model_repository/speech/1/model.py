"""The Triton model `speech`: an engine behind the tensors of `config.pbtxt`, which holds every limit."""

from __future__ import annotations

from aftercall.serve.triton_model import TritonPythonModel

__all__ = ["TritonPythonModel"]
