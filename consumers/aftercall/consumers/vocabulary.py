"""Names and terms that a model should know how to spell, as the prompt of every window of a call.

Whisper takes what stands before a window as what was said before, and spells on in its manner; of a prompt of over 223
tokens it sees the end alone. So the terms that count most, the call's own, stand last, and whole terms are left out
rather than one cut.
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_BYTES = 446
"""Two bytes a token at least: English has four to five, Chinese and Japanese three bytes in one to two tokens."""


def choose(call: Iterable[str], tenant: Iterable[str]) -> tuple[str, ...]:
    """Return the terms that fit, in the order of the prompt: the tenant's, then the call's.

    The call's have precedence, and earlier ones over later ones; of terms that differ in case only the first counts.
    """
    room = MAX_BYTES
    seen: set[str] = set()
    kept: list[list[str]] = []
    for terms in (call, tenant):
        kept.append([])
        for term in (" ".join(raw.split()) for raw in terms):
            size = len(term.encode()) + 2  # a comma and a space
            if term and term.casefold() not in seen and size <= room:
                seen.add(term.casefold())
                kept[-1].append(term)
                room -= size
    of_call, of_tenant = kept
    return (*of_tenant, *of_call)


def of_prompt(prompt: str) -> tuple[str, ...]:
    """Return a prompt as one term: the end of it that fits, from the beginning of a word."""
    plain = " ".join(prompt.split()).rstrip(" .")
    room = MAX_BYTES - 2
    data = plain.encode()
    if len(data) > room:
        plain = data[-room:].decode(errors="ignore")
        plain = plain.partition(" ")[2] or plain
    return (plain,) if plain else ()


def prompt_of(terms: tuple[str, ...]) -> str | None:
    """Return the prompt that names the terms; None without any."""
    return ", ".join(terms) + "." if terms else None
