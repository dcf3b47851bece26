"""A transcript as a person, a player or another program reads it."""

from __future__ import annotations

import enum
import html
import json
import textwrap
from collections.abc import Iterator, Sequence

from aftercall.contracts import documents, transcript

MAX_LINE_CHARS = 42
MAX_CAPTION_CHARS = 2 * MAX_LINE_CHARS
MIN_CAPTION_S = 0.3


class Format(enum.StrEnum):
    """The renderings there are."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"
    WHISPERX = "whisperx"


MEDIA_TYPES = {
    Format.TEXT: "text/plain; charset=utf-8",
    Format.JSON: "application/json",
    Format.SRT: "application/x-subrip; charset=utf-8",
    Format.VTT: "text/vtt; charset=utf-8",
    Format.WHISPERX: "application/json",
}
EXTENSIONS = {
    Format.TEXT: "txt",
    Format.JSON: "json",
    Format.SRT: "srt",
    Format.VTT: "vtt",
    Format.WHISPERX: "whisperx.json",
}


def render(document: transcript.Transcript, form: Format) -> str:
    """Render a document; every form ends in a newline, and one without words is a valid file of its kind."""
    match form:
        case Format.TEXT:
            return text(document)
        case Format.JSON:
            plain = json.loads(documents.encode(document))
            return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
        case Format.SRT:
            return _srt(document)
        case Format.VTT:
            return _vtt(document)
        case Format.WHISPERX:
            return json.dumps(_whisperx(document), indent=2, ensure_ascii=False) + "\n"


def text(document: transcript.Transcript) -> str:
    """Render lines like `[00:00:01] Alice: hello`."""
    lines = [
        f"[{_clock(segment.start_s)}] {document.name_of(segment.speaker)}: {segment.text}"
        for segment in document.segments
    ]
    return "".join(line + "\n" for line in lines)


def _srt(document: transcript.Transcript) -> str:
    blocks = []
    for at, (segment, words) in enumerate(_captions(document), start=1):
        times = f"{_stamp(words[0].start_s, ',')} --> {_stamp(_until(words), ',')}"
        shown = _wrap(f"{document.name_of(segment.speaker)}: {_joined(words)}")
        blocks.append(f"{at}\n{times}\n{shown}\n")
    return "\n".join(blocks) if blocks else "\n"


def _vtt(document: transcript.Transcript) -> str:
    blocks = ["WEBVTT\n"]
    for segment, words in _captions(document):
        times = f"{_stamp(words[0].start_s, '.')} --> {_stamp(_until(words), '.')}"
        who = html.escape(document.name_of(segment.speaker), quote=False)
        blocks.append(f"{times}\n<v {who}>{html.escape(_wrap(_joined(words)), quote=False)}\n")
    return "\n".join(blocks)


def _whisperx(document: transcript.Transcript) -> dict[str, object]:
    """Return the shape that whisperX writes: segments with words, and all words once more in a list."""
    segments = []
    for segment in document.segments:
        who = document.name_of(segment.speaker)
        words: list[dict[str, object]] = []
        for word in segment.words:
            entry: dict[str, object] = {"word": word.text, "start": word.start_s, "end": word.end_s}
            if word.confidence is not None:
                entry["score"] = word.confidence
            words.append({**entry, "speaker": who})
        segments.append(
            {
                "start": segment.start_s,
                "end": segment.end_s,
                "text": segment.text,
                "speaker": who,
                "words": words,
            }
        )
    return {
        "segments": segments,
        "word_segments": [word for segment in segments for word in segment["words"]],  # type: ignore[attr-defined]
        "language": document.language,
    }


def _captions(
    document: transcript.Transcript,
) -> Iterator[tuple[transcript.Segment, Sequence[transcript.Word]]]:
    """Cut segments into captions of at most two lines."""
    for segment in document.segments:
        group: list[transcript.Word] = []
        room = MAX_CAPTION_CHARS - len(document.name_of(segment.speaker)) - 2
        for word in segment.words:
            if group and len(_joined([*group, word])) > room:
                yield segment, group
                group = []
            group.append(word)
        if group:
            yield segment, group


def _joined(words: Sequence[transcript.Word]) -> str:
    return " ".join(word.text for word in words)


def _until(words: Sequence[transcript.Word]) -> float:
    # Players drop captions of no length.
    return max(words[-1].end_s, words[0].start_s + MIN_CAPTION_S)


def _wrap(line: str) -> str:
    return "\n".join(textwrap.wrap(line, MAX_LINE_CHARS, break_long_words=False, break_on_hyphens=False))


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _stamp(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1000)
    return f"{_clock(milliseconds // 1000)}{mark}{milliseconds % 1000:03d}"
