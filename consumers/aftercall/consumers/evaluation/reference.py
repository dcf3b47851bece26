"""What was really said in a recording, as people wrote it down; and the list of recordings that have such a text."""

from __future__ import annotations

import csv
import io
import json
import pathlib
from typing import Annotated, Any

import pydantic

from aftercall.contracts import errors, events, identity

Seconds = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
_OWN = {"audio", "reference", "text", "tenant", "call_id", "language", "min_speakers", "max_speakers"}
_MAX_PROBLEMS = 20


class Word(pydantic.BaseModel):
    """A word, and when it begins."""

    model_config = pydantic.ConfigDict(frozen=True)

    text: str
    start_s: Seconds


class Turn(pydantic.BaseModel):
    """What one speaker said in a row. Without a `speaker` the channel is taken for one."""

    model_config = pydantic.ConfigDict(frozen=True)

    start_s: Seconds
    end_s: Seconds
    text: str
    channel: Annotated[int, pydantic.Field(ge=0, lt=64)] | None = None
    speaker: str | None = None
    words: tuple[Word, ...] = ()

    @property
    def who(self) -> str | None:
        """The speaker, as far as known."""
        if self.speaker is not None:
            return self.speaker
        return None if self.channel is None else f"channel {self.channel}"


class Reference(pydantic.BaseModel):
    """The turns of a recording, in any order; or its text alone, as one turn without times."""

    model_config = pydantic.ConfigDict(frozen=True)

    turns: tuple[Turn, ...]
    timed: bool = True


class Row(pydantic.BaseModel):
    """One recording of a manifest: where it is, what was said, and which slices of the whole it belongs to."""

    model_config = pydantic.ConfigDict(frozen=True)

    audio: pathlib.Path
    reference: Reference
    tenant: events.TenantId = identity.LOCAL_TENANT
    call_id: events.CallId
    language: str | None = None
    min_speakers: events.Speakers | None = None
    max_speakers: events.Speakers | None = None
    slices: dict[str, str] = pydantic.Field(default_factory=dict)


def read_manifest(path: pathlib.Path) -> list[Row]:
    """Read a manifest: JSON lines, a JSON list or CSV; paths in it are from its own folder.

    A row names `audio`, and `reference` (a file of turns in JSON, or of plain text) or `text` itself; `tenant`,
    `call_id`, `language`, `min_speakers` and `max_speakers` if they are known. Every other column is a slice. Raises
    `errors.ConfigurationError` with every problem, row by row.
    """
    try:
        plain = _rows(path.read_text(encoding="utf-8"), path.suffix.lower())
    except (OSError, UnicodeDecodeError, ValueError) as exc:
        raise errors.ConfigurationError(f"the manifest {path} cannot be read: {exc}") from exc
    found, problems = [], []
    for number, row in enumerate(plain, start=1):
        try:
            found.append(_row(row, path.parent))
        except pydantic.ValidationError as exc:
            told = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'row'}: {one['msg']}" for one in exc.errors())
            problems.append(f"row {number}: {told}")
        except (OSError, ValueError) as exc:
            problems.append(f"row {number}: {exc}")
    ids = [(row.tenant, row.call_id) for row in found]
    problems += [
        f"call {call_id!r} of {tenant!r} comes twice" for tenant, call_id in {i for i in ids if ids.count(i) > 1}
    ]
    if not plain:
        problems.append("it names no recording")
    if problems:
        more = [f"and {len(problems) - _MAX_PROBLEMS} more"] if len(problems) > _MAX_PROBLEMS else []
        raise errors.ConfigurationError("\n".join(f"{path}: {one}" for one in [*problems[:_MAX_PROBLEMS], *more]))
    return found


def _rows(text: str, suffix: str) -> list[Any]:
    if suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text)))
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _row(plain: Any, folder: pathlib.Path) -> Row:
    if not isinstance(plain, dict) or not plain.get("audio"):
        raise ValueError("names no audio")
    audio = folder / plain["audio"]
    if not audio.is_file():
        raise ValueError(f"there is no recording {audio}")
    slices = {name: str(value) for name, value in plain.items() if name not in _OWN and value not in {None, ""}}
    told = {name: plain[name] for name in ("tenant", "language", "min_speakers", "max_speakers") if plain.get(name)}
    return Row(
        audio=audio.resolve(),
        reference=_reference(plain, folder),
        call_id=plain.get("call_id") or audio.name,
        slices=slices,
        **told,
    )


def _reference(plain: dict[str, Any], folder: pathlib.Path) -> Reference:
    if plain.get("text"):
        return _untimed(str(plain["text"]))
    if not plain.get("reference"):
        raise ValueError("has neither a reference nor a text")
    text = (folder / plain["reference"]).read_text(encoding="utf-8")
    if not str(plain["reference"]).lower().endswith(".json"):
        return _untimed(text)
    data = json.loads(text)
    return Reference.model_validate({"turns": data["turns"]} if isinstance(data, dict) and "turns" in data else data)


def _untimed(text: str) -> Reference:
    return Reference(turns=(Turn(start_s=0, end_s=0, text=text),), timed=False)
