"""Request bodies: a recording as it streams in, and a small JSON object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import fastapi
import pydantic

from aftercall.api import problems
from aftercall.contracts import documents, errors

Model = TypeVar("Model", bound=pydantic.BaseModel)

MAX_JSON_BYTES = 64 * 1024
STALL_S = 60.0


def check_whole(request: fastapi.Request, *, max_bytes: int) -> None:
    """Refuse a recording that says itself that it is too large, or that it is not one as it is.

    Nothing of the body has been asked for by then, so that a client that waits for `100 Continue` sends nothing.
    """
    if "content-range" in request.headers:
        raise problems.ProblemError(400, "a recording is uploaded whole; Content-Range is not taken")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise problems.ProblemError(415, "a recording is uploaded as it is; Content-Encoding is not taken")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise problems.ProblemError(413, f"the recording is larger than the {max_bytes} bytes that are taken")


async def steadily(body: AsyncIterator[bytes], *, stall_s: float = STALL_S) -> AsyncIterator[bytes]:
    """Yield a body's chunks as they come; end the request when none comes for `stall_s`."""
    while True:
        try:
            async with asyncio.timeout(stall_s):
                chunk = await anext(body, None)
        except TimeoutError as exc:
            raise problems.ProblemError(408, f"nothing of the body came for {stall_s:g} s") from exc
        if chunk is None:
            return
        yield chunk


async def recording(request: fastapi.Request) -> AsyncIterator[bytes]:
    """Yield a recording's chunks; end the request when there is not one byte."""
    empty = True
    async for chunk in steadily(request.stream()):
        empty = empty and not chunk
        yield chunk
    if empty:
        raise problems.ProblemError(400, "the request has no body; a recording is uploaded as the body itself")


async def read_json(request: fastapi.Request, model: type[Model]) -> Model:
    """Read a JSON object whatever type it says it has: people send JSON without saying so. No body is an empty one."""
    body = bytearray()
    async for chunk in steadily(request.stream()):
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise problems.ProblemError(413, f"the request body is larger than {MAX_JSON_BYTES} bytes")
    if not body.strip():
        return model()
    try:
        plain = documents.load_object(bytes(body), what="the request body")
    except errors.ContractError as exc:
        raise problems.ProblemError(400, str(exc)) from exc
    try:
        return model.model_validate(plain)
    except pydantic.ValidationError as exc:
        raise problems.ProblemError(422, problems.sentence(exc.errors())) from exc
