"""How likely each 32 ms of a channel is speech: Silero VAD v6, as faster-whisper bundles it, run on a stream.

The network carries its state and the last 64 samples from frame to frame, so feeding a recording in blocks of any
size gives the same numbers as feeding it whole.
"""

from __future__ import annotations

import functools
import typing

import numpy as np

FRAME_SAMPLES = 512
_CONTEXT_SAMPLES = 64

Samples = np.ndarray[typing.Any, np.dtype[np.int16]]
Values = np.ndarray[typing.Any, np.dtype[np.float32]]


@functools.cache
def _session() -> typing.Any:
    """Load the network once a process: 1.2 MB, one thread, safe to run from several threads."""
    import os

    import onnxruntime
    from faster_whisper import utils

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    path = os.path.join(utils.get_assets_path(), "silero_vad_v6.onnx")
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"], sess_options=options)


class SpeechProbability:
    """Speech probability and energy of one channel, frame by frame of 512 samples at 16 kHz."""

    def __init__(self) -> None:
        self._state = np.zeros((1, 1, 128), dtype=np.float32)
        self._cell = np.zeros((1, 1, 128), dtype=np.float32)
        self._context = np.zeros(_CONTEXT_SAMPLES, dtype=np.float32)
        self._rest = np.zeros(0, dtype=np.float32)

    def feed(self, samples: Samples, *, last: bool = False) -> tuple[Values, Values]:
        """Take the next samples; return (probability, RMS in full scale) of every frame completed, each of shape [n].

        With `last`, the final part frame is completed by silence.
        """
        stream = np.concatenate([self._rest, samples.astype(np.float32) / 32768])
        if last and len(stream) % FRAME_SAMPLES:
            stream = np.pad(stream, (0, FRAME_SAMPLES - len(stream) % FRAME_SAMPLES))
        n_frames = len(stream) // FRAME_SAMPLES
        self._rest = stream[n_frames * FRAME_SAMPLES :]
        if n_frames == 0:
            return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.float32)
        whole = stream[: n_frames * FRAME_SAMPLES].reshape(n_frames, FRAME_SAMPLES)
        context = np.vstack([self._context, whole[:-1, -_CONTEXT_SAMPLES:]])
        self._context = whole[-1, -_CONTEXT_SAMPLES:].copy()
        found, self._state, self._cell = _session().run(
            None, {"input": np.hstack([context, whole]), "h": self._state, "c": self._cell}
        )
        rms = np.sqrt(np.mean(whole * whole, axis=1))
        return found.reshape(-1).astype(np.float32), rms.astype(np.float32)
