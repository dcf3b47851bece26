"""Tell a recording's container by its first bytes, so that FFmpeg is never left to guess.

A guessing demuxer can take a text file for a playlist and fetch what it names. Only these forms are opened, each
with its own demuxer.
"""

from __future__ import annotations

HEAD_BYTES = 64

CODECS = frozenset(
    {
        *("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be"),
        *("pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw"),
        *("mp3", "mp3float", "aac", "flac", "opus", "libopus", "vorbis", "alac", "gsm_ms", "gsm", "adpcm_ms"),
        *("adpcm_ima_wav", "amrnb", "amrwb", "amr_nb", "amr_wb", "libopencore_amrnb", "libopencore_amrwb", "g722"),
    }
)
"""Decoders that may run, by FFmpeg's names of codecs and of decoders."""


def sniff(head: bytes) -> str | None:
    """Return the FFmpeg demuxer for a file that begins with `head`; None for anything that is no known audio."""
    kind = head[8:12]
    if head[:4] in {b"RIFF", b"RF64", b"BW64"} and kind == b"WAVE":
        return "wav"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "ogg"
    if head[4:8] == b"ftyp":
        return "mov"
    if head.startswith((b"#!AMR\n", b"#!AMR-WB\n")):
        return "amr"
    if head[:4] == b".snd":
        return "au"
    if head[:4] == b"FORM" and kind in {b"AIFF", b"AIFC"}:
        return "aiff"
    if head[:3] == b"ID3":
        return "mp3"
    if len(head) >= 2 and head[0] == 0xFF:
        if head[1] & 0xF6 == 0xF0:
            return "aac"
        if head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
            return "mp3"
    return None
