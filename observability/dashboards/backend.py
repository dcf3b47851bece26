"""How full and how fast GPUs and speech servers are."""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.dashboards.panels import Form, Panel, Query, Row, mean, of_pools, per_second
from observability.rules import speech

DESCRIPTION = "Are GPUs and engines busy, are batches full, and who answers badly?"

_GPU = "{{pod}} GPU {{gpu}} {{GPU_I_PROFILE}}"
_SERVER = "{{namespace}}/{{pool}} ({{server}})"


def _differing() -> str:
    words = (
        per_second("namespace, pool", of_pools(metrics.SHADOW_WORDS, kind=kind)) for kind in ("differing", "compared")
    )
    return mean(*words)


ROWS = (
    Row(
        "Speech servers",
        (
            Panel(
                "Windows heard each second",
                "Windows that engines have transcribed, whatever serves them: Triton, Ray, or consumers.",
                "ops",
                (Query(of_pools(speech.WINDOWS), _SERVER),),
            ),
            Panel(
                "Windows in a batch",
                "How many windows an engine hears at once, on average. Near 1, GPUs are idle for most of their time"
                " even if they look busy: too many replicas, or too few windows in flight.",
                "short",
                (Query(of_pools(speech.BATCH_WINDOWS), _SERVER),),
            ),
            Panel(
                "Engines busy",
                "How many engines are at work at a time, on average.",
                "short",
                (Query(of_pools(speech.BUSY_ENGINES), _SERVER),),
            ),
            Panel(
                "Engines busy, for each replica",
                "Share of a speech replica's time that its engine works. At 1 it is full, and its capacity is learned;"
                " above 1 a replica has more than one engine.",
                "percentunit",
                (
                    Query(
                        f"sum by (namespace, pool) ({of_pools(speech.BUSY_ENGINES)})"
                        " / on (namespace, pool) (max by (namespace, pool) ("
                        f"{of_pools(metrics.OPERATOR_READY, fleet='speech')}) > 0)",
                        "{{namespace}}/{{pool}}",
                    ),
                ),
            ),
            Panel(
                "Windows waiting at servers",
                "Windows that are in a server's queue. Once it is full, consumers are told to come again.",
                "short",
                (Query(of_pools(speech.PENDING), _SERVER),),
            ),
            Panel(
                "Time of a window, and its wait",
                "Mean time of one window at the server, and the part of it before the engine has it.",
                "s",
                (
                    Query(of_pools(speech.REQUEST_SECONDS), f"{_SERVER} whole"),
                    Query(of_pools(speech.QUEUE_SECONDS), f"{_SERVER} waiting"),
                ),
            ),
            Panel(
                "Answers, as consumers see them",
                "Windows asked of the backend: answered, told to come again (busy), failed, or refused. A refused"
                " window makes its recording a dead letter.",
                "ops",
                (
                    Query(
                        per_second("namespace, pool, result", of_pools(metrics.SPEECH_CALLS)),
                        "{{namespace}}/{{pool}} {{result}}",
                    ),
                ),
            ),
            Panel(
                "Failures, as servers see them",
                "Requests that servers failed, refused for a full queue among them.",
                "ops",
                (Query(of_pools(speech.FAILURES), _SERVER),),
            ),
            Panel(
                "Backend away",
                "Share of each pool's consumers that take the backend for down.",
                "percentunit",
                (
                    Query(
                        f"avg by (namespace, pool) ({of_pools(metrics.SPEECH_DOWN, component='consumers')})",
                        "{{namespace}}/{{pool}}",
                    ),
                ),
                bounds=(0, 1),
                warn_at=0.5,
            ),
            Panel(
                "A second backend tried on a share",
                "Recordings that a second backend has heard too, if one is set up, and the share of words in which the"
                " two differ.",
                "percentunit",
                (Query(_differing(), "words that differ, {{namespace}}/{{pool}}"),),
            ),
        ),
    ),
    Row(
        "GPUs",
        (
            Panel(
                "GPU busy",
                "Share of time that a GPU, or a part of one by MIG, works. Where profiling is switched off it is only"
                " whether some kernel ran, which is near 1 early: look at tensor cores and batches too.",
                "percentunit",
                (Query(of_pools(speech.GPU_BUSY), _GPU),),
                bounds=(0, 1),
            ),
            Panel(
                "Tensor cores busy",
                "Share of time that tensor cores work: what Whisper is made of. Small batches leave them idle.",
                "percentunit",
                (Query(of_pools(speech.GPU_TENSOR), _GPU),),
                bounds=(0, 1),
            ),
            Panel(
                "GPU memory used",
                "Share of a GPU's memory, or of its MIG part's, that is taken. Weights take it from the start.",
                "percentunit",
                (Query(of_pools(speech.GPU_MEMORY), _GPU),),
                bounds=(0, 1),
                warn_at=0.97,
            ),
            Panel(
                "Power",
                "What GPUs draw. Many watts at few windows is money for nothing.",
                "watt",
                (Query(of_pools(speech.GPU_POWER), _GPU),),
                Form.STACK,
            ),
        ),
    ),
)
