"""The speech backend of a service: counted, and patient with a server that is away."""

from __future__ import annotations

import functools

from aftercall.consumers import observer
from aftercall.contracts import metrics, sections, windows
from aftercall.serve import backends
from aftercall.serve.clients import patient


def backend_of(speech: sections.Speech, observe: observer.Observer) -> windows.SpeechBackend:
    """Build the backend that the settings ask for."""
    backend = backends.build(speech, on_batch=functools.partial(observer.count_batch, observe))
    return patient.PatientBackend(
        backend,
        on_call=lambda result: observe.add(metrics.SPEECH_CALLS, result=result),
        on_open=lambda is_open: observe.set(metrics.SPEECH_DOWN, float(is_open)),
    )
