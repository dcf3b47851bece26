"""The form that OpenAI's clients send: a recording and a few fields, read without holding the recording in memory."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any, BinaryIO, Literal

import fastapi
import pydantic
from starlette import datastructures, formparsers

from aftercall.api import access, bodies, problems
from aftercall.consumers import vocabulary

_MAX_FIELDS = 64
_MAX_FIELD_BYTES = 64 * 1024


class Form(enum.StrEnum):
    """The forms that a transcript may be asked for in."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    VERBOSE_JSON = "verbose_json"
    DIARIZED_JSON = "diarized_json"


class Asked(pydantic.BaseModel):
    """What is asked for beside the file."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: Annotated[str, pydantic.Field(min_length=1, max_length=200)]
    """One of the names that `/v1/models` lists."""
    language: Annotated[str, pydantic.Field(pattern=access.LANGUAGE_PATTERN)] | None = None
    """Language spoken, such as `en`; detected when left out."""
    prompt: Annotated[str, pydantic.Field(max_length=10_000)] = ""
    """Names and terms that the model should know how to spell; of a long one the end counts."""
    response_format: Form = Form.JSON
    """The form of the transcript."""
    temperature: Literal[0] = 0
    """Only 0: a result that fails the quality measures is decoded again at higher ones without being told."""
    timestamp_granularities: frozenset[Literal["word", "segment"]] = frozenset({"segment"})
    """What `verbose_json` gives times of."""
    stream: bool = False
    """Send events: what is said as it is heard, the whole at the end."""
    chunking_strategy: Literal["auto"] = "auto"
    """Recordings are always cut where nobody speaks."""

    @pydantic.field_validator("temperature", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        try:
            return 0 if float(value) == 0 else value
        except (TypeError, ValueError):
            return value

    @pydantic.model_validator(mode="after")
    def _words_need_room(self) -> Asked:
        if "word" in self.timestamp_granularities and self.response_format is not Form.VERBOSE_JSON:
            raise ValueError("timestamp_granularities: words need response_format verbose_json")
        if self.stream and self.response_format not in {Form.JSON, Form.TEXT, Form.DIARIZED_JSON}:
            raise ValueError(f"stream: {self.response_format} is not streamed; json, text and diarized_json are")
        return self

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The prompt as the vocabulary of an event."""
        return vocabulary.of_prompt(self.prompt)


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """A form: the recording, on disk once it is large, and the fields."""

    file: BinaryIO
    asked: Asked


BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "WAV, MP3, M4A, FLAC, OGG, AMR."},
                        "model": {"type": "string"},
                        "language": {"type": "string", "pattern": access.LANGUAGE_PATTERN},
                        "prompt": {"type": "string", "maxLength": 10_000},
                        "response_format": {"enum": [str(form) for form in Form]},
                        "temperature": {"enum": [0]},
                        "timestamp_granularities[]": {"type": "array", "items": {"enum": ["word", "segment"]}},
                        "stream": {"type": "boolean"},
                        "chunking_strategy": {"enum": ["auto"]},
                    },
                    "required": ["file", "model"],
                }
            }
        },
    }
}


@contextlib.asynccontextmanager
async def read(request: fastapi.Request, *, max_bytes: int) -> AsyncIterator[Read]:
    """Read a form; its file is gone when the context ends."""
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "multipart/form-data" or "boundary=" not in rest.lower():
        raise problems.ProblemError(400, "the request is no multipart/form-data with a file", param="file")
    parser = formparsers.MultiPartParser(
        request.headers,
        _capped(bodies.steadily(request.stream()), max_bytes + _MAX_FIELDS * _MAX_FIELD_BYTES),
        max_files=1,
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except (formparsers.MultiPartException, AssertionError, KeyError, UnicodeDecodeError, ValueError) as exc:
        raise problems.ProblemError(400, f"the form cannot be read: {getattr(exc, 'message', 'it is broken')}") from exc
    try:
        file = form.get("file")
        if not isinstance(file, datastructures.UploadFile):
            raise problems.ProblemError(400, "file: the form holds none", param="file")
        if not file.size:
            raise problems.ProblemError(400, "file: it is empty", code="empty_file", param="file")
        if file.size > max_bytes:
            raise problems.ProblemError(413, f"file: it is larger than the {max_bytes} bytes that are taken")
        yield Read(file.file, _fields(form))
    finally:
        await form.close()


def _fields(form: datastructures.FormData) -> Asked:
    plain: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name == "file":
            continue
        if name.removesuffix("[]") == "timestamp_granularities":
            plain.setdefault("timestamp_granularities", []).append(value)
        else:
            plain[name] = value
    try:
        return Asked.model_validate(plain)
    except pydantic.ValidationError as exc:
        first = exc.errors()[0]["loc"]
        raise problems.ProblemError(
            400, problems.sentence(exc.errors()), param=str(first[0]) if first else None, code="invalid_value"
        ) from exc


async def _capped(body: AsyncIterator[bytes], max_bytes: int) -> AsyncGenerator[bytes, None]:
    size_bytes = 0
    async for chunk in body:
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            raise problems.ProblemError(413, f"the form is larger than the {max_bytes} bytes that are taken")
        yield chunk
