"""Which language a recording is in, from what its windows were found to be."""

from __future__ import annotations

from collections.abc import Iterable

from aftercall.consumers.transcript import heard


def vote(windows: Iterable[heard.HeardWindow]) -> str | None:
    """Return the language with the most speech behind it, each window weighed by how sure it was; None without any."""
    votes: dict[str, float] = {}
    for window in windows:
        language = window.result.language
        if language is None or window.verdict.silent or not window.verdict.accepted:
            continue
        sure = window.result.language_probability
        votes[language] = votes.get(language, 0.0) + heard.seconds(window.speech) * (1.0 if sure is None else sure)
    return max(votes, key=lambda language: (votes[language], language), default=None)
