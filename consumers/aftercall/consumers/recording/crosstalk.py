"""Tell one channel's own voice from a faint copy of another channel.

Joint stereo coding lets each side of a call through to the other: Opus at 24 kbit/s leaves a copy 25 dB down whose
waveform is the original's (correlation 0.99). A quiet voice of its own does not follow another's waveform.
"""

from __future__ import annotations

import typing

import numpy as np

_MUCH_LOUDER = 4.0  # 12 dB
_A_COPY = 0.8
_AROUND_FRAMES = 4
"""Frames on either side that are weighed in: an unvoiced sound alone is coded too coarsely to be a likeness."""

Samples = np.ndarray[typing.Any, np.dtype[np.int16]]
Flags = np.ndarray[typing.Any, np.dtype[np.bool_]]


def leaked(block: Samples, frame_samples: int) -> Flags:
    """Say of each frame of each channel whether it is a copy of a much louder channel.

    `block` has shape [channels, n], n a multiple of `frame_samples`; the answer has [channels, n / frame_samples].
    """
    n_channels, n_samples = block.shape
    if n_channels == 1 or n_samples == 0:
        return np.zeros((n_channels, n_samples // frame_samples), dtype=np.bool_)
    framed = block.astype(np.float32).reshape(n_channels, n_samples // frame_samples, frame_samples)
    framed = framed - framed.mean(axis=2, keepdims=True)
    energy = _around(np.einsum("cfs,cfs->cf", framed, framed))
    found = np.zeros(energy.shape, dtype=np.bool_)
    for one in range(n_channels):
        for other in range(n_channels):
            if one == other:
                continue
            product = _around(np.einsum("fs,fs->f", framed[one], framed[other])[None])[0]
            likeness = np.abs(product) / np.sqrt(energy[one] * energy[other] + 1e-9)
            found[one] |= (energy[other] > _MUCH_LOUDER**2 * energy[one]) & (likeness > _A_COPY)
    return found


def _around(values: np.ndarray[typing.Any, np.dtype[np.float32]]) -> np.ndarray[typing.Any, np.dtype[np.float32]]:
    """Sum over the frames around each frame; shape [rows, frames] in and out."""
    width = 2 * _AROUND_FRAMES + 1
    padded = np.pad(values, ((0, 0), (_AROUND_FRAMES, _AROUND_FRAMES)))
    around: np.ndarray[typing.Any, np.dtype[np.float32]] = np.lib.stride_tricks.sliding_window_view(
        padded, width, axis=1
    ).sum(axis=2)
    return around
