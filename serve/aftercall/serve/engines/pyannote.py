"""A pyannote.audio pipeline: one recording at a time, its chunks and voices in batches."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import numpy as np

from aftercall.contracts import diarization, errors, windows
from aftercall.serve import models


class Pipeline:
    """Loads a pipeline from a folder, or by its name on the hub, which wants a token for gated ones.

    `batch_size` is that of both its models: at 1, which is pyannote's own default, a GPU is idle most of the time.
    """

    def __init__(self, name: str, *, device: str = "auto", batch_size: int = 32, token: str | None = None) -> None:
        # It tells its makers of every file otherwise: how long, and how many speakers.
        os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
        import torch
        from pyannote import audio

        folder = pathlib.Path(name).expanduser()
        if name.startswith((".", "/", "~")) and not (folder / "config.yaml").is_file():
            raise errors.ConfigurationError(f"no pipeline at {name}: give a folder that holds pyannote's config.yaml")
        local = folder.is_dir()
        try:
            found: Any = audio.Pipeline.from_pretrained(folder if local else name, token=token)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as exc:
            raise errors.ConfigurationError(f"pipeline {name!r} cannot be loaded ({type(exc).__name__})") from exc
        if found is None:
            raise errors.ConfigurationError(
                f"pipeline {name!r} cannot be had: gated ones need diarization.token, of an account that was let in"
            )
        found.segmentation_batch_size = found.embedding_batch_size = batch_size
        on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        found.to(torch.device("cuda" if on_gpu else "cpu"))
        self._pipeline = found
        revision = models.digest(folder / "config.yaml") if local else "hub"
        self.info = diarization.DiarizerInfo("pyannote", folder.name if local else name, revision)

    def diarize(self, conversation: diarization.Conversation) -> tuple[diarization.Turn, ...]:
        """Return who speaks when; the samples are passed on as they are, since reading a file again costs most."""
        import torch

        wave = np.frombuffer(conversation.pcm, dtype="<i2").astype(np.float32) / 32768
        least, most = conversation.min_speakers, conversation.max_speakers
        sure = least is not None and least == most
        told = self._pipeline(
            {"waveform": torch.from_numpy(wave)[None], "sample_rate": windows.SAMPLE_RATE_HZ},
            **({"num_speakers": least} if sure else {"min_speakers": least, "max_speakers": most}),
        )
        numbers: dict[str, int] = {}
        found = []
        for span, _, label in told.exclusive_speaker_diarization.itertracks(yield_label=True):
            number = numbers.setdefault(label, len(numbers))
            found.append(diarization.Turn(number, round(float(span.start), 3), round(float(span.end), 3)))
        return tuple(found)
