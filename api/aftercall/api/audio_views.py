"""A transcript in the forms of OpenAI's transcription API. What is not known is null, never made up."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import pydantic

from aftercall.api import forms
from aftercall.consumers.transcript import formats, heard, quality
from aftercall.contracts import transcript

_TEXT = "text/plain; charset=utf-8"
_PLAIN = {forms.Form.SRT: formats.Format.SRT, forms.Form.VTT: formats.Format.VTT}


class Model(pydantic.BaseModel):
    """A name under which the model may be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "aftercall"


class Models(pydantic.BaseModel):
    """Every such name."""

    object: Literal["list"] = "list"
    data: list[Model]


class Usage(pydantic.BaseModel):
    """What a recording cost: seconds of it, rounded up."""

    type: Literal["duration"] = "duration"
    seconds: int


class Word(pydantic.BaseModel):
    """A word and when it was said."""

    word: str
    start: float
    end: float


class Segment(pydantic.BaseModel):
    """What one speaker said without a long pause."""

    id: int
    seek: int = 0
    start: float
    end: float
    text: str
    tokens: list[int] = pydantic.Field(default_factory=list)
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None


class Spoken(pydantic.BaseModel):
    """What one speaker said, and who that was."""

    type: Literal["transcript.text.segment"] = "transcript.text.segment"
    id: str
    start: float
    end: float
    text: str
    speaker: str


class Plain(pydantic.BaseModel):
    """The text alone."""

    text: str
    usage: Usage


class Verbose(pydantic.BaseModel):
    """The text with its times."""

    task: str
    language: str | None
    duration: float
    text: str
    words: list[Word] | None = None
    segments: list[Segment] | None = None
    usage: Usage


class Diarized(pydantic.BaseModel):
    """The text by speaker."""

    task: str
    duration: float
    text: str
    segments: list[Spoken]
    usage: Usage


_KINDS = [model.model_json_schema(ref_template="#/components/schemas/{model}") for model in (Plain, Verbose, Diarized)]
SCHEMAS: dict[str, Any] = {name: one for kind in _KINDS for name, one in kind.pop("$defs", {}).items()} | {
    kind["title"]: kind for kind in _KINDS
}
"""Schemas that the answers refer to, by name."""
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The transcript in the form asked for, or events",
        "content": {
            "application/json": {"schema": {"anyOf": [{"$ref": f"#/components/schemas/{k['title']}"} for k in _KINDS]}},
            _TEXT: {"schema": {"type": "string"}},
            "text/event-stream": {"schema": {"type": "string"}},
            **{formats.MEDIA_TYPES[form]: {"schema": {"type": "string"}} for form in _PLAIN.values()},
        },
    }
}


def text_of(made: transcript.Transcript) -> str:
    """Return everything that was said, in order, as one text."""
    return " ".join(segment.text for segment in made.segments)


def media_type(asked: forms.Asked) -> str:
    """Return the media type of the form asked for."""
    if asked.response_format is forms.Form.TEXT:
        return _TEXT
    plain = _PLAIN.get(asked.response_format)
    return "application/json" if plain is None else formats.MEDIA_TYPES[plain]


def render(made: transcript.Transcript, asked: forms.Asked) -> str:
    """Render a transcript in the form asked for."""
    form = asked.response_format
    if form in _PLAIN:
        return formats.render(made, _PLAIN[form])
    text, usage = text_of(made), _usage(made)
    match form:
        case forms.Form.TEXT:
            return text + "\n"
        case forms.Form.VERBOSE_JSON:
            return Verbose(
                task=made.model.options.get("task", "transcribe"),
                language=made.language,
                duration=made.audio.duration_s,
                text=text,
                words=_words(made) if "word" in asked.timestamp_granularities else None,
                segments=_segments(made) if "segment" in asked.timestamp_granularities else None,
                usage=usage,
            ).model_dump_json()
        case forms.Form.DIARIZED_JSON:
            return Diarized(
                task=made.model.options.get("task", "transcribe"),
                duration=made.audio.duration_s,
                text=text,
                segments=[
                    Spoken(
                        id=f"seg_{segment.id}",
                        start=segment.start_s,
                        end=segment.end_s,
                        text=segment.text,
                        speaker=made.name_of(segment.speaker),
                    )
                    for segment in made.segments
                ],
                usage=usage,
            ).model_dump_json()
        case _:
            return Plain(text=text, usage=usage).model_dump_json()


class Teller:
    """Writes the events of one stream."""

    def __init__(self, asked: forms.Asked) -> None:
        self._asked = asked
        self._told: set[tuple[float, int]] = set()

    def said(self, utterance: heard.Utterance) -> str:
        """Write what was said; nothing for what was told already, before the work was begun anew."""
        place = (utterance.start_s, utterance.channel)
        if place in self._told:
            return ""
        begins = not self._told
        self._told.add(place)
        if self._asked.response_format is not forms.Form.DIARIZED_JSON:
            return event({"type": "transcript.text.delta", "delta": utterance.text if begins else f" {utterance.text}"})
        return event(
            Spoken(
                id=f"seg_{len(self._told) - 1}",
                start=utterance.start_s,
                end=utterance.end_s,
                text=utterance.text,
                # A name may be known only once the whole call has been heard; the last event has it.
                speaker=f"Speaker {utterance.channel + 1}",
            ).model_dump()
        )

    def done(self, made: transcript.Transcript) -> str:
        """Write the last event, before it what nobody told yet: all of it, where the work was done elsewhere."""
        late = [] if self._told else [self.said(_utterance(segment)) for segment in made.segments]
        ending: dict[str, Any] = {"type": "transcript.text.done", "text": text_of(made)}
        ending["usage"] = _usage(made).model_dump()
        return "".join(late) + event(ending)


def event(data: dict[str, Any]) -> str:
    """Write one server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _usage(made: transcript.Transcript) -> Usage:
    return Usage(seconds=math.ceil(made.audio.duration_s))


def _words(made: transcript.Transcript) -> list[Word]:
    return [
        Word(word=word.text, start=word.start_s, end=word.end_s) for segment in made.segments for word in segment.words
    ]


def _segments(made: transcript.Transcript) -> list[Segment]:
    return [
        Segment(
            id=segment.id,
            start=segment.start_s,
            end=segment.end_s,
            text=segment.text,
            compression_ratio=round(quality.compression_ratio(segment.text), 3),
        )
        for segment in made.segments
    ]


def _utterance(segment: transcript.Segment) -> heard.Utterance:
    return heard.Utterance(segment.channel, segment.words, segment.language, segment.flags)
