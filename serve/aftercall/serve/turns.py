"""How a conversation and its turns travel to a diarizer and back; see `wire`, which does the same for windows."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from aftercall.contracts import diarization, windows
from aftercall.serve import wire

MAX_PCM_BYTES = 4 * 3600 * windows.SAMPLE_RATE_HZ * windows.BYTES_PER_SAMPLE
"""Four hours, 461 MB."""
Count = Annotated[int, pydantic.Field(ge=1, le=diarization.MAX_SPEAKERS)]


class Head(pydantic.BaseModel):
    """What is said of a conversation beside its samples; `ask` `info` wants to know who answers."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    ask: Literal["turns", "info"] = "turns"
    tenant: Annotated[str, pydantic.Field(max_length=wire.MAX_ID_CHARS)] = ""
    min_speakers: Count | None = None
    max_speakers: Count | None = None


class Answer(pydantic.BaseModel):
    """One of turns, a refusal, and who answers."""

    model_config = pydantic.ConfigDict(frozen=True)

    version: Literal[1] = 1
    turns: tuple[diarization.Turn, ...] | None = None
    refusal: wire.Refusal | None = None
    info: diarization.DiarizerInfo | None = None


INFO_HEAD = Head(ask="info").model_dump_json().encode()


def head_of(conversation: diarization.Conversation) -> bytes:
    """Return what is sent beside the samples."""
    told = Head(
        tenant=conversation.tenant, min_speakers=conversation.min_speakers, max_speakers=conversation.max_speakers
    )
    return told.model_dump_json().encode()


def read_request(head: bytes, pcm: bytes) -> diarization.Conversation | None:
    """Return the conversation of a request; None when it asks who answers.

    Raises `errors.PermanentError` in one sentence for what is no request.
    """
    if len(head) > wire.MAX_HEAD_BYTES or len(pcm) > MAX_PCM_BYTES or len(pcm) % windows.BYTES_PER_SAMPLE or not pcm:
        raise wire.no_request(f"{len(head)} and {len(pcm)} bytes are no head and no samples of at most four hours")
    try:
        read = Head.model_validate_json(head)
    except pydantic.ValidationError as exc:
        raise wire.no_request(wire.first_problem(exc)) from exc
    if read.ask == "info":
        return None
    return diarization.Conversation(read.tenant, pcm, read.min_speakers, read.max_speakers)


def answer(told: tuple[diarization.Turn, ...] | diarization.DiarizerInfo | Exception) -> bytes:
    """Return what is sent back."""
    match told:
        case diarization.DiarizerInfo():
            found = Answer(info=told)
        case Exception():
            found = Answer(refusal=wire.refusal_of(told))
        case _:
            found = Answer(turns=told)
    return found.model_dump_json().encode()


def read_answer(data: bytes) -> tuple[diarization.Turn, ...] | diarization.DiarizerInfo:
    """Return what was answered; raise what the server raised, and `errors.TransientError` for what is no answer."""
    try:
        read = Answer.model_validate_json(data)
    except pydantic.ValidationError as exc:
        raise wire.no_answer() from exc
    if read.refusal is not None:
        raise wire.raised_of(read.refusal)
    if read.turns is not None:
        return read.turns
    if read.info is None:
        raise wire.no_answer()
    return read.info
