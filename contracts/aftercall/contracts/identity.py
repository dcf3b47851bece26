"""Who a recording is, and under which keys its objects lie.

A recording is (tenant, recording_id); another version of its object is another version of it. A call groups
recordings by call_id. A piece of work is (tenant, recording_id, version, generation).

Ids may hold spaces, parentheses and letters of any script. Object keys may not, so each id maps one to one
to a key part of ASCII letters, digits, `.`, `_`, `-` and `=`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import unicodedata

MAX_ID_CHARS = 200
_MAX_KEY_PART_CHARS = 120
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class InvalidIdError(ValueError):
    """An id cannot be used; the message says which rule it breaks."""


def parse_id(value: str, *, what: str) -> str:
    """Return `value` in NFC, or raise `InvalidIdError` naming `what` and the rule it breaks."""
    if not isinstance(value, str):
        raise InvalidIdError(f"{what} is not a string")
    normal = unicodedata.normalize("NFC", value)
    shown = ascii(normal if len(normal) <= 40 else normal[:40] + "…")
    if not normal.strip():
        raise InvalidIdError(f"{what} is empty")
    if len(normal) > MAX_ID_CHARS:
        raise InvalidIdError(f"{what} has {len(normal)} characters; at most {MAX_ID_CHARS} are allowed")
    if normal in {".", ".."}:
        raise InvalidIdError(f"{what} {shown} is a path, not an id")
    if "/" in normal or "\\" in normal:
        raise InvalidIdError(f"{what} {shown} holds a slash")
    # Cc control, Cs surrogate, Cn unassigned: nothing a person can read or type, and a NUL ends paths early.
    if any(unicodedata.category(char) in {"Cc", "Cs", "Cn"} for char in normal):
        raise InvalidIdError(f"{what} {shown} holds a control character")
    return normal


def key_part(value: str) -> str:
    """Map an id to a part of an object key, one to one.

    A plain id stays as it is. Every other byte of its UTF-8 becomes `=XX`; what would be longer than 120
    characters keeps a readable head and ends in `=.` and its SHA-256 (`=` followed by `.` occurs nowhere else). No part
    ends in `.json`: where keys are files, `a.json` could not be a call's copy and a recording's folder at once.
    """
    odd_dots = {0, len(value) - 5 if value.endswith(".json") else 0}
    if _PLAIN.fullmatch(value) and len(value) <= _MAX_KEY_PART_CHARS and len(odd_dots) == 1:
        return value
    parts = [
        char
        if _PLAIN.fullmatch(char) or (char == "." and at not in odd_dots)
        else "".join(f"={b:02X}" for b in char.encode())
        for at, char in enumerate(value)
    ]
    if sum(map(len, parts)) <= _MAX_KEY_PART_CHARS:
        return "".join(parts)
    head = ""
    for part in parts:
        if len(head) + len(part) > 40:
            break
        head += part
    return f"{head}=.{hashlib.sha256(value.encode()).hexdigest()}"


LOCAL_TENANT = "local"
"""Whose recordings are that come without a tenant, on this machine alone."""
COMPARISONS = "comparisons"
"""The prefix of what a second backend on trial made of recordings, in figures."""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Recording:
    """One recording of one tenant, whatever version of it."""

    tenant: str
    recording_id: str

    @property
    def prefix(self) -> str:
        """The two key parts that every object of this recording lies under."""
        return f"{key_part(self.tenant)}/{key_part(self.recording_id)}"

    @property
    def tombstone_key(self) -> str:
        """Where a deletion is recorded; on a prefix that no lifecycle rule touches."""
        return f"outcomes/{self.prefix}/deleted.json"

    @property
    def outcomes_prefix(self) -> str:
        """The prefix under which every outcome of this recording lies."""
        return f"outcomes/{self.prefix}/"

    @property
    def claims_prefix(self) -> str:
        """The prefix under which every attempt at every version of this recording lies."""
        return f"claims/{self.prefix}/"

    @property
    def transcripts_prefix(self) -> str:
        """The prefix under which every transcript of this recording lies, except the copy for people."""
        return f"transcripts/{self.prefix}/"

    def transcript_key(self, sha256: str) -> str:
        """Where a transcript document of this content lies."""
        return f"{self.transcripts_prefix}{sha256}.json"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Work:
    """One deliberate transcription of one version of a recording."""

    recording: Recording
    version: str
    generation: int

    @property
    def outcome_key(self) -> str:
        """The create-only object that decides this generation."""
        return f"outcomes/{self.recording.prefix}/{key_part(self.version)}/{self.generation}.json"

    def quarantine_key(self, sha256: str) -> str:
        """Where a transcript is kept whose recording was another than the one that decided this generation."""
        return f"quarantine/{self.recording.prefix}/{key_part(self.version)}/{self.generation}/{sha256}.json"

    @property
    def checkpoints_prefix(self) -> str:
        """The prefix under which lies what was heard so far of a long recording."""
        return f"checkpoints/{self.recording.prefix}/{key_part(self.version)}/{self.generation}/"

    @property
    def generations_prefix(self) -> str:
        """The prefix under which the claims of every generation of this version lie."""
        return f"{self.recording.claims_prefix}{key_part(self.version)}/"

    @property
    def claims_prefix(self) -> str:
        """The prefix under which every attempt at this work lies."""
        return f"{self.generations_prefix}{self.generation}/"

    def claim_key(self, attempt: int) -> str:
        """The create-only object that counts an attempt before anything is done."""
        return f"{self.claims_prefix}{attempt}.json"

    @property
    def transcription_id(self) -> str:
        """The public id of this work: stable, unguessable from outside only as far as its parts are."""
        parts = (self.recording.tenant, self.recording.recording_id, self.version, str(self.generation))
        return "tr_" + hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]


def lookup_key(transcription_id: str) -> str:
    """Where it lies which work a transcription id names."""
    return f"ids/{key_part(transcription_id)}.json"


def call_prefix(tenant: str, call_id: str) -> str:
    """Where it lies which recordings a call has, apart from one that bears the call's own id."""
    return f"calls/{key_part(tenant)}/{key_part(call_id)}/"


def current_copy_key(tenant: str, call_id: str) -> str:
    """Where people find the current canonical transcript of a call."""
    return f"transcripts/{key_part(tenant)}/{key_part(call_id)}.json"
