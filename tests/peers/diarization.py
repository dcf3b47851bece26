"""pyannote.audio and PyTorch, as packages that a server's Python or a test's own finds after everything else."""

from __future__ import annotations

import pathlib

from peers import cache

_COMMAND = ["{python}", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", "{out}"]


def build() -> pathlib.Path:
    """Return the folder that holds the packages."""
    return cache.build("diarization", [*_COMMAND, "--requirement", "requirements.txt"], needs=())
