"""Decoding in the sealed child: every form that is taken, and everything that is thrown at it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.server
import pathlib
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Iterator

import material
import numpy as np
import pytest

from aftercall.consumers.recording import decode, frames
from aftercall.contracts import errors, outcomes

LIMITS = decode.Limits(memory_bytes=512 * 2**20, cpu_s=60, stall_s=30, max_duration_s=3600, max_channels=8)


@dataclasses.dataclass(frozen=True, slots=True)
class Decoded:
    """A recording, decoded."""

    facts: frames.Facts
    trailer: frames.Trailer
    samples: np.ndarray[typing.Any, np.dtype[np.int16]]


def run(path: pathlib.Path, limits: decode.Limits = LIMITS) -> Decoded:
    """Decode a file to its end."""

    async def work() -> Decoded:
        async with decode.open_recording(path, limits) as decoding:
            blocks = [block async for block in decoding.blocks()]
            samples = np.concatenate(blocks, axis=1) if blocks else np.zeros((decoding.facts.channels, 0), np.int16)
            return Decoded(decoding.facts, decoding.trailer, samples)

    return asyncio.run(work())


def refused(path: pathlib.Path, limits: decode.Limits = LIMITS) -> outcomes.Reason:
    """Decode a file that must be refused; return why."""
    with pytest.raises(errors.RejectedError) as caught:
        run(path, limits)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def put(tmp_path: pathlib.Path, data: bytes, name: str = "recording") -> pathlib.Path:
    """Write a recording."""
    path = tmp_path / name
    path.write_bytes(data)
    return path


def pitch_of(samples: np.ndarray[typing.Any, np.dtype[np.int16]]) -> float:
    """Return the strongest frequency of a channel at 16 kHz."""
    spectrum = np.abs(np.fft.rfft(samples.astype(float) * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * 16_000 / len(samples)


def test_wav_of_every_sample_form(tmp_path: pathlib.Path) -> None:
    """PCM of 8 to 32 bits, float, A-law and mu-law: the same tone comes out."""
    sine = material.tone(1.0, 8000).astype(np.float64) / 32768
    whole24 = (sine * 2**23).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3]
    forms: dict[str, tuple[np.ndarray[typing.Any, typing.Any], int, int]] = {
        "u8": (((sine + 1) * 127.5).astype(np.uint8), 1, 8),
        "s16": ((sine * 32767).astype("<i2"), 1, 16),
        "s24": (np.ascontiguousarray(whole24), 1, 24),
        "s32": ((sine * 2**31 * 0.99).astype("<i4"), 1, 32),
        "f32": (sine.astype("<f4"), 3, 32),
        "f64": (sine.astype("<f8"), 3, 64),
    }
    for name, (samples, tag, bits) in forms.items():
        found = run(put(tmp_path, material.wav(samples, 8000, tag=tag, bits=bits), name))
        assert found.samples.shape == (1, 16_000), name
        assert abs(pitch_of(found.samples[0]) - 440) < 2, name
        assert not found.trailer.truncated, name
    for codec in ("pcm_alaw", "pcm_mulaw"):
        data = material.encode(material.tone(1.0, 8000)[None], 8000, codec=codec, container="wav")
        found = run(put(tmp_path, data, codec))
        assert abs(pitch_of(found.samples[0]) - 440) < 2, codec


@pytest.mark.parametrize(
    ("codec", "container", "rate_hz", "bit_rate"),
    [
        ("libmp3lame", "mp3", 16_000, 32_000),
        ("libmp3lame", "mp3", 44_100, 64_000),
        ("aac", "adts", 16_000, 32_000),
        ("aac", "mp4", 48_000, 64_000),
        ("flac", "flac", 8_000, None),
        ("libopus", "ogg", 48_000, 24_000),
        ("libopencore_amrnb", "amr", 8_000, 12_200),
        ("alac", "mp4", 16_000, None),
    ],
)
def test_compressed_forms(
    tmp_path: pathlib.Path, codec: str, container: str, rate_hz: int, bit_rate: int | None
) -> None:
    """Each container is known by its first bytes, whatever the file is called."""
    data = material.encode(
        material.tone(2.0, rate_hz)[None], rate_hz, codec=codec, container=container, bit_rate=bit_rate
    )

    found = run(put(tmp_path, data, "misnamed.txt"))

    assert found.facts.channels == 1
    assert abs(found.samples.shape[1] / 16_000 - 2.0) < 0.15
    assert abs(pitch_of(found.samples[0, 8000:24_000]) - 440) < 5


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000])
def test_every_rate_becomes_16_khz_to_the_sample(tmp_path: pathlib.Path, rate_hz: int) -> None:
    """Length is kept to within two samples, however long."""
    samples = material.tone(5.0, rate_hz)

    found = run(put(tmp_path, material.wav(samples, rate_hz)))

    assert abs(found.samples.shape[1] - 80_000) <= 2
    assert abs(pitch_of(found.samples[0]) - 440) < 2


def test_channels_stay_apart_and_in_order(tmp_path: pathlib.Path) -> None:
    """Six channels with six tones come out as they went in."""
    pitches = [300, 500, 700, 900, 1100, 1300]
    samples = np.stack([material.tone(1.0, 16_000, pitch) for pitch in pitches], axis=1)

    found = run(put(tmp_path, material.wav(samples, 16_000, channels=6)))

    assert found.facts.channels == 6
    assert pitches == [round(pitch_of(channel), -1) for channel in found.samples]


def test_a_call_is_decoded_as_a_library_would(tmp_path: pathlib.Path) -> None:
    """Sample for sample like FFmpeg's own resampling of the stereo FLAC sample."""
    path = material.SAMPLES / "recordings" / "acme" / "plain.flac"

    found = run(path)

    expected = material.load(path)
    assert abs(expected.shape[1] - found.samples.shape[1]) <= 2
    n_samples = min(expected.shape[1], found.samples.shape[1])
    assert np.abs(expected[:, :n_samples].astype(int) - found.samples[:, :n_samples]).max() <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", outcomes.Reason.EMPTY_FILE),
        (b"Dear customer, this is a letter.\n" * 20, outcomes.Reason.NOT_AUDIO),
        (b"PK\x03\x04" + bytes(2000), outcomes.Reason.NOT_AUDIO),
        (b"\x7fELF" + bytes(2000), outcomes.Reason.NOT_AUDIO),
        (bytes(5000), outcomes.Reason.NOT_AUDIO),
        (b"RIFF\x24\x00\x00\x00WAVE", outcomes.Reason.CORRUPT),
        (b"fLaC" + bytes(500), outcomes.Reason.CORRUPT),
        (b"OggS" + bytes(500), outcomes.Reason.CORRUPT),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(500), outcomes.Reason.CORRUPT),
    ],
)
def test_what_is_no_recording_is_refused_by_name(tmp_path: pathlib.Path, data: bytes, reason: outcomes.Reason) -> None:
    """An empty file, a letter named .wav, an archive, a program, zeros, headers without a body."""
    assert refused(put(tmp_path, data, "call.wav")) in {reason, outcomes.Reason.NO_AUDIO}


def test_a_header_without_channels_is_refused(tmp_path: pathlib.Path) -> None:
    """Nobody can speak on no channel."""
    data = material.wav(material.tone(1, 8000), 8000, channels=0)

    assert refused(put(tmp_path, data)) in {outcomes.Reason.NO_AUDIO, outcomes.Reason.CORRUPT}


def test_sixty_four_channels_are_refused_and_eight_are_taken(tmp_path: pathlib.Path) -> None:
    """A recording is taken whole or not at all."""
    many = np.zeros((800, 64), dtype=np.int16)

    assert refused(put(tmp_path, material.wav(many, 8000, channels=64))) is outcomes.Reason.TOO_MANY_CHANNELS
    assert run(put(tmp_path, material.wav(many[:, :8], 8000, channels=8))).facts.channels == 8


@pytest.mark.parametrize("n_samples", [1, 2, 7, 159])
def test_a_moment_of_audio_is_audio(tmp_path: pathlib.Path, n_samples: int) -> None:
    """One sample is short, not wrong."""
    found = run(put(tmp_path, material.wav(np.zeros(n_samples, dtype=np.int16), 16_000)))

    assert abs(found.trailer.n_samples - n_samples) <= 1


def test_samples_that_are_no_numbers_become_silence_and_are_counted(tmp_path: pathlib.Path) -> None:
    """NaN and infinity spread nowhere."""
    samples = (material.tone(1.0, 16_000) / 32768).astype("<f4")
    samples[100:200] = np.nan
    samples[300] = np.inf

    found = run(put(tmp_path, material.wav(samples, 16_000, tag=3, bits=32)))

    assert found.trailer.bad_samples >= 101
    assert not found.samples[0, 110:190].any()
    assert abs(pitch_of(found.samples[0, 8000:]) - 440) < 2


def test_a_truncated_mp3_gives_what_is_there_and_says_so(tmp_path: pathlib.Path) -> None:
    """Half a file is half a call, not a failure."""
    data = material.encode(
        material.tone(10.0, 16_000)[None], 16_000, codec="libmp3lame", container="mp3", bit_rate=32_000
    )

    found = run(put(tmp_path, data[: len(data) // 2 + 37]))

    assert 3.5 < found.samples.shape[1] / 16_000 < 6
    assert found.trailer.truncated


def test_a_header_that_lies_about_its_length_is_found_out(tmp_path: pathlib.Path) -> None:
    """It says an hour and holds a second."""
    data = material.wav(material.tone(1.0, 8000), 8000, data_bytes=3600 * 16_000)

    found = run(put(tmp_path, data))

    assert abs(found.samples.shape[1] - 16_000) <= 2


def test_digital_silence_is_a_recording(tmp_path: pathlib.Path) -> None:
    """Nothing was said, which is something to say."""
    found = run(put(tmp_path, material.wav(np.zeros(80_000, dtype=np.int16), 8000)))

    assert found.trailer.n_samples == 160_000
    assert not found.samples.any()


def test_a_small_file_of_hours_stops_at_the_limit(tmp_path: pathlib.Path) -> None:
    """A decompression bomb costs what the limit says."""
    silence = np.zeros((1, 8000 * 600), dtype=np.int16)
    data = material.encode(silence, 8000, codec="flac", container="flac")
    limits = dataclasses.replace(LIMITS, max_duration_s=60)
    started = time.monotonic()

    assert refused(put(tmp_path, data), limits) is outcomes.Reason.TOO_LONG
    assert time.monotonic() - started < 20


def test_too_little_memory_is_a_strike_and_not_an_outcome(tmp_path: pathlib.Path) -> None:
    """What the child dies of is counted against the recording, which may have been unlucky."""
    path = put(tmp_path, material.wav(material.tone(1.0, 8000), 8000))

    with pytest.raises(errors.StrikeError) as caught:
        run(path, dataclasses.replace(LIMITS, memory_bytes=70 * 2**20))

    assert caught.value.reason is outcomes.Reason.DECODER_DIED


def test_a_child_that_gives_nothing_is_ended(tmp_path: pathlib.Path) -> None:
    """A stall is a strike too, and leaves no process behind."""
    path = put(tmp_path, material.wav(material.tone(1.0, 8000), 8000))

    with pytest.raises(errors.StrikeError) as caught:
        run(path, dataclasses.replace(LIMITS, stall_s=0.001))

    assert caught.value.reason is outcomes.Reason.DECODER_TIMEOUT


@contextlib.contextmanager
def canary() -> Iterator[tuple[int, list[str]]]:
    """Listen on loopback and keep what was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_playlists_fetch_nothing(tmp_path: pathlib.Path) -> None:
    """HLS, concat, DASH and SDP files are no recordings, and nobody follows what they name."""
    with canary() as (port, asked):
        address = f"http://127.0.0.1:{port}/x.wav"
        lists = (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{address}\n#EXTINF:10,\nfile:///etc/passwd\n",
            f"ffconcat version 1.0\nfile '{address}'\nfile '/etc/passwd'\n",
            f'<?xml version="1.0"?><MPD><Period><BaseURL>{address}</BaseURL></Period></MPD>',
            f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\na=control:{address}\nm=audio {port} RTP/AVP 0\n",
        )
        for text in lists:
            assert refused(put(tmp_path, text.encode(), "call.wav")) is outcomes.Reason.NOT_AUDIO
        disguised = b"ID3\x03\x00\x00\x00\x00\x00\x00" + lists[0].encode()
        with contextlib.suppress(errors.AftercallError):
            run(put(tmp_path, disguised, "call.mp3"))

    assert [] == asked


_PROBE = """
import os, socket, sys
from aftercall.consumers.recording import sandbox
sandbox.set_limits(memory_bytes=2**29, cpu_s=10)
sealed = sandbox.seal()
def tried(what):
    try:
        what()
    except (PermissionError, OSError) as exc:
        return type(exc).__name__
    return "allowed"
results = [
    tried(lambda: open("/etc/passwd")),
    tried(lambda: os.open("/tmp/x", os.O_CREAT | os.O_WRONLY)),
    tried(lambda: socket.socket()),
    tried(lambda: os.execv("/bin/true", ["true"])),
    tried(lambda: os.fork()),
    tried(lambda: os.kill(os.getppid(), 0)),
    tried(lambda: open(f"/proc/{os.getppid()}/environ")),
]
print(sealed, *results)
"""


def test_the_sealed_child_reaches_nothing() -> None:
    """No file, no socket, no program, no other process, its parent's environment included."""
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=60)

    assert (["True"] + ["PermissionError"] * 7, "") == (done.stdout.split(), done.stderr)


def test_the_child_is_sealed_while_it_decodes() -> None:
    """The facts say so, and a recording's process has no environment."""
    assert run(material.SAMPLES / "recordings" / "acme" / "voicemail.wav").facts.sealed
