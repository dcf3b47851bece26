"""Reading and writing contract documents: JSON that says its version, and problems in one sentence each."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import pydantic

from aftercall.contracts import errors

Model = TypeVar("Model", bound=pydantic.BaseModel)


def encode(document: pydantic.BaseModel) -> bytes:
    """Encode as canonical JSON: sorted keys, no spaces, UTF-8; equal documents give equal bytes."""
    plain = document.model_dump(mode="json")
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parse(model: type[Model], data: bytes | str, *, what: str) -> Model:
    """Parse JSON into `model`.

    Raises `errors.ContractError` with every problem, field by field, when `data` is no JSON object, breaks the
    contract, or carries a schema version whose major this code does not know.
    """
    return validate(model, load_object(data, what=what), what=what)


def load_object(data: bytes | str, *, what: str) -> dict[str, Any]:
    """Parse a JSON object; NaN, duplicate nesting beyond the parser's depth and other kinds are refused."""
    try:
        plain = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise errors.ContractError(f"{what} is not JSON: {exc}") from exc
    if not isinstance(plain, dict):
        raise errors.ContractError(f"{what} is not a JSON object but {type(plain).__name__}")
    return plain


def validate(model: type[Model], plain: dict[str, Any], *, what: str) -> Model:
    """Validate a plain object as `model`; see `parse`."""
    _check_major(model, plain, what=what)
    try:
        return model.model_validate(plain)
    except pydantic.ValidationError as exc:
        raise errors.ContractError(f"{what} breaks its contract: {describe(exc)}") from exc


def describe(exc: pydantic.ValidationError) -> str:
    """Put every problem of a validation into one line, field by field."""
    return "; ".join(
        f"{'.'.join(str(at) for at in problem['loc']) or 'document'}: {problem['msg']}" for problem in exc.errors()
    )


def _check_major(model: type[pydantic.BaseModel], plain: dict[str, Any], *, what: str) -> None:
    field = model.model_fields.get("schema_version")
    if field is None or "schema_version" not in plain:
        return
    known = str(field.default)
    given = str(plain["schema_version"])
    if given.partition(".")[0] != known.partition(".")[0]:
        raise errors.ContractError(f"{what} has schema version {given}; this code knows {known}")
    # A newer minor only adds fields, so it is read as the minor this code knows.
    plain["schema_version"] = known


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
