"""What a recording will cost, before anybody has heard it."""

from __future__ import annotations

from aftercall.contracts import events

UNKNOWN_LENGTH_S = 120.0
"""What a recording is believed to cost until its tenant's own mean is known: two channels of a minute."""
_SHARE_OF_THE_LATEST = 0.05


class Estimates:
    """Audio-seconds by the event where it says them, otherwise by the tenant's moving mean."""

    def __init__(self) -> None:
        self._means_s: dict[str, float] = {}

    def of(self, event: events.RecordingReady) -> float:
        """Return the audio-seconds of all channels that a recording is believed to have."""
        if event.duration_s is not None:
            return event.duration_s * max(1, len(event.channels))
        return self._means_s.get(event.tenant, UNKNOWN_LENGTH_S)

    def learn(self, tenant: str, audio_s: float) -> None:
        """Note what a recording turned out to cost."""
        before = self._means_s.get(tenant, audio_s)
        self._means_s[tenant] = before + _SHARE_OF_THE_LATEST * (audio_s - before)
