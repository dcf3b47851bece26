"""The speech backend of a service: counted, and patient with a server that is away."""

from __future__ import annotations

import functools

from aftercall.consumers import observer, usage
from aftercall.contracts import metrics, sections, windows
from aftercall.serve import backends
from aftercall.serve.clients import patient


def backend_of(
    speech: sections.Speech, observe: observer.Observer, *, heard: usage.Usage | None = None
) -> windows.SpeechBackend:
    """Build the backend that the settings ask for; `heard` is told when it is full or away."""
    backend = backends.build(speech, on_batch=functools.partial(observer.count_batch, observe))

    def count(result: str) -> None:
        observe.add(metrics.SPEECH_CALLS, result=result)
        if heard is not None and result == "busy":
            heard.refused()

    def note_down(is_down: bool) -> None:
        observe.set(metrics.SPEECH_DOWN, float(is_down))
        if heard is not None:
            heard.down(is_down)

    return patient.PatientBackend(backend, on_call=count, on_open=note_down)
