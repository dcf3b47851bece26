"""How windows and results travel to a speech server and back: samples as they are, everything else as JSON.

Triton and Ray carry the same messages, so that a client or a server of one is a client or a server of the other but for
the transport. A refusal travels as an answer, with its reason; what a transport itself refuses is its own affair.
"""

from __future__ import annotations

import functools
from typing import Annotated, Literal

import pydantic

from aftercall.contracts import errors, outcomes, windows

MAX_HEAD_BYTES = 16 * 1024
"""Of a request: a prompt has at most 224 tokens."""
MAX_PCM_BYTES = windows.MAX_WINDOW_SAMPLES * windows.BYTES_PER_SAMPLE
MAX_ID_CHARS = 400
_DEFAULT_RETRY_S = 5.0


class Head(pydantic.BaseModel):
    """What is said of a window beside its samples; `ask` `info` wants to know who answers, whatever samples come."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    ask: Literal["window", "info"] = "window"
    window_id: Annotated[str, pydantic.Field(max_length=MAX_ID_CHARS)] = ""
    tenant: Annotated[str, pydantic.Field(max_length=MAX_ID_CHARS)] = ""
    options: windows.Options = windows.Options()


class Refusal(pydantic.BaseModel):
    """Why there is no result, and whether it is worth asking again."""

    model_config = pydantic.ConfigDict(frozen=True)

    kind: Literal["transient", "permanent", "rejected"]
    reason: outcomes.Reason
    message: str
    retry_after_s: float = _DEFAULT_RETRY_S


class Answer(pydantic.BaseModel):
    """One of a result, a refusal, and who answers."""

    model_config = pydantic.ConfigDict(frozen=True)

    version: Literal[1] = 1
    result: windows.WindowResult | None = None
    refusal: Refusal | None = None
    info: windows.BackendInfo | None = None


INFO_HEAD = Head(ask="info").model_dump_json().encode()
INFO_PCM = bytes(windows.BYTES_PER_SAMPLE)
"""A sample, since not every transport carries nothing."""


def head_of(window: windows.Window) -> bytes:
    """Return what is sent beside a window's samples."""
    return Head(window_id=window.window_id, tenant=window.tenant, options=window.options).model_dump_json().encode()


def read_request(head: bytes, pcm: bytes) -> windows.Window | None:
    """Return the window of a request; None when it asks who answers.

    Raises `errors.PermanentError` in one sentence for what is no request: a client that is wrong, not a recording.
    """
    if len(head) > MAX_HEAD_BYTES or len(pcm) > MAX_PCM_BYTES:
        raise no_request(f"it has {len(head)} and {len(pcm)} bytes; at most {MAX_HEAD_BYTES} and {MAX_PCM_BYTES} do")
    try:
        read = Head.model_validate_json(head)
        if read.ask == "info":
            return None
        return windows.Window(read.window_id, read.tenant, pcm, read.options)
    except pydantic.ValidationError as exc:
        raise no_request(first_problem(exc)) from exc
    except ValueError as exc:
        raise no_request(str(exc)) from exc


def answer(told: windows.WindowResult | windows.BackendInfo | Exception) -> bytes:
    """Return what is sent back."""
    match told:
        case windows.WindowResult():
            found = Answer(result=told)
        case windows.BackendInfo():
            found = Answer(info=told)
        case _:
            found = Answer(refusal=refusal_of(told))
    return found.model_dump_json().encode()


def read_answer(data: bytes) -> windows.WindowResult | windows.BackendInfo:
    """Return what was answered; raise what the server raised, and `errors.TransientError` for what is no answer."""
    try:
        read = Answer.model_validate_json(data)
    except pydantic.ValidationError as exc:
        raise no_answer() from exc
    if read.refusal is not None:
        raise raised_of(read.refusal)
    told = read.result or read.info
    if told is None:
        raise no_answer()
    return told


def first_problem(exc: pydantic.ValidationError) -> str:
    """Say what is wrong first, without what was sent."""
    first = exc.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def no_answer() -> errors.TransientError:
    """Return what is raised for an answer that is none."""
    return errors.TransientError("the server's answer cannot be read", reason=outcomes.Reason.BACKEND_UNAVAILABLE)


def engine_failure(exc: Exception) -> errors.TransientError:
    """Return what is told of an engine's own error: its words may hold what somebody said, the type is enough to find
    it, and the next attempt may well pass.
    """
    failure = errors.TransientError(
        f"the engine failed with {type(exc).__name__}", reason=outcomes.Reason.BACKEND_UNAVAILABLE
    )
    failure.__cause__ = exc
    return failure


def refusal_of(exc: Exception) -> Refusal:
    """Return what is told of a failure."""
    match exc:
        case errors.TransientError():
            return Refusal(kind="transient", reason=exc.reason, message=str(exc), retry_after_s=exc.retry_after_s)
        case errors.RejectedError():
            return Refusal(kind="rejected", reason=exc.reason, message=str(exc))
        case errors.PermanentError():
            return Refusal(kind="permanent", reason=exc.reason, message=str(exc))
        case _:
            return refusal_of(engine_failure(exc))


def raised_of(refusal: Refusal) -> errors.AftercallError:
    """Return what a refusal is raised as, where it was asked."""
    match refusal.kind:
        case "transient":
            return errors.TransientError(refusal.message, reason=refusal.reason, retry_after_s=refusal.retry_after_s)
        case "rejected":
            return errors.RejectedError(refusal.message, reason=refusal.reason)
        case "permanent":
            return errors.PermanentError(refusal.message, reason=refusal.reason)


no_request = functools.partial(errors.PermanentError, reason=outcomes.Reason.BACKEND_REFUSED)
