"""Who speaks: on several channels the channel is the speaker; on one channel there is one speaker until diarization."""

from __future__ import annotations

from collections.abc import Sequence

from aftercall.consumers.transcript import heard
from aftercall.contracts import events, transcript

AGENT, CUSTOMER = "agent", "customer"


def identify(
    n_channels: int, named: Sequence[events.Channel], utterances: Sequence[heard.Utterance]
) -> tuple[transcript.Speaker, ...]:
    """Return a speaker for every channel, in order of the channels.

    Roles come from the event's metadata. Where it names none for a call of two channels, whoever speaks first is taken
    for the agent, who answers calls; the speaker's `role_source` says so.
    """
    by_index = {channel.index: channel for channel in named}
    guess = n_channels == 2 and not any(channel.role for channel in named if channel.index < 2)
    first = min(utterances, key=lambda each: each.start_s).channel if utterances else None
    found = []
    for index in range(n_channels):
        told = by_index.get(index)
        role, source = None, transcript.RoleSource.UNKNOWN
        if told is not None and told.role:
            role, source = told.role, transcript.RoleSource.METADATA
        elif guess and first is not None:
            role = AGENT if index == first else CUSTOMER
            source = transcript.RoleSource.FIRST_SPEAKER
        name = (told.name if told is not None else None) or (role.capitalize() if role else f"Speaker {index + 1}")
        found.append(transcript.Speaker(id=f"S{index + 1}", name=name, channel=index, role=role, role_source=source))
    return tuple(found)
