"""Speech servers in one language: whatever hears, the same series in windows, seconds and engines.

Triton counts microseconds, Ray milliseconds; in a consumer's own process the engine is counted by the consumer. The
label `server` says which it was. What our Ray application counts itself has Ray's prefix before our name.
"""

from __future__ import annotations

from aftercall.contracts import metrics
from observability.rules import foreign
from observability.rules.groups import Group, Record, promql

WINDOWS = "aftercall:speech_windows:rate5m"
FAILURES = "aftercall:speech_failures:rate5m"
REQUEST_SECONDS = "aftercall:speech_request_seconds:mean5m"
QUEUE_SECONDS = "aftercall:speech_queue_seconds:mean5m"
BATCH_WINDOWS = "aftercall:speech_batch_windows:mean5m"
BUSY_ENGINES = "aftercall:speech_busy_engines:rate5m"
PENDING = "aftercall:speech_pending_windows"

_TRITON = '{model="speech"}'
_RAY = '{deployment="speech"}'
RAY_BATCHES = f"ray_{metrics.BATCHES.name}"
RAY_BATCH_WINDOWS = "ray_aftercall_serve_batch_windows_total"
RAY_ENGINE_SECONDS = f"ray_{metrics.ENGINE_SECONDS.name}"


def _rate(name: str, selector: str = "") -> str:
    return f"sum by (namespace, pool) (rate({name}{selector}[5m]))"


def _mean(sum_of: str, count_of: str, selector: str = "", *, scale: str = "") -> str:
    return f"{_rate(sum_of, selector)}{scale}\n/\n({_rate(count_of, selector)} > 0)"


def _records(name: str, **by_server: str) -> tuple[Record, ...]:
    return tuple(Record(name, expr, {"server": server}) for server, expr in by_server.items())


_SPEECH = Group(
    "aftercall-speech",
    (
        *_records(
            WINDOWS,
            triton=_rate(foreign.TRITON_COUNT, _TRITON),
            ray=_rate(foreign.RAY_REQUESTS, _RAY),
            consumer=_rate(f"{metrics.BATCH_WINDOWS.name}_sum", '{component="consumers"}'),
        ),
        *_records(
            FAILURES,
            triton=_rate(foreign.TRITON_FAILURE, '{model="speech",reason!="CANCELED"}'),
            ray=_rate(foreign.RAY_ERRORS, _RAY),
        ),
        *_records(
            REQUEST_SECONDS,
            triton=_mean(foreign.TRITON_REQUEST_US, foreign.TRITON_SUCCESS, _TRITON, scale=" / 1e6"),
            ray=_mean(f"{foreign.RAY_LATENCY_MS}_sum", f"{foreign.RAY_LATENCY_MS}_count", _RAY, scale=" / 1e3"),
        ),
        *_records(
            QUEUE_SECONDS,
            triton=_mean(foreign.TRITON_QUEUE_US, foreign.TRITON_SUCCESS, _TRITON, scale=" / 1e6"),
            ray=_mean(f"{foreign.RAY_ROUTING_MS}_sum", f"{foreign.RAY_ROUTING_MS}_count", _RAY, scale=" / 1e3"),
        ),
        *_records(
            BATCH_WINDOWS,
            triton=_mean(foreign.TRITON_COUNT, foreign.TRITON_EXECUTIONS, _TRITON),
            ray=_mean(RAY_BATCH_WINDOWS, RAY_BATCHES),
            consumer=_mean(f"{metrics.BATCH_WINDOWS.name}_sum", f"{metrics.BATCH_WINDOWS.name}_count"),
        ),
        *_records(
            BUSY_ENGINES,
            triton=f"{_rate(foreign.TRITON_INFER_US, _TRITON)} / 1e6",
            ray=_rate(RAY_ENGINE_SECONDS),
            consumer=_rate(metrics.ENGINE_SECONDS.name, '{component="consumers"}'),
        ),
        *_records(
            PENDING,
            triton=f"sum by (namespace, pool) ({foreign.TRITON_PENDING}{_TRITON})",
            ray=f"sum by (namespace, pool) ({foreign.RAY_QUEUED}{_RAY})",
        ),
    ),
)

GPU_BUSY = "aftercall:gpu_busy:ratio"
GPU_TENSOR = "aftercall:gpu_tensor_busy:ratio"
GPU_MEMORY = "aftercall:gpu_memory_used:ratio"
GPU_POWER = "aftercall:gpu_power_watts"

_DEVICE = "Hostname, UUID, gpu"
"""What names a GPU; a part of one by MIG has `GPU_I_ID` and `GPU_I_PROFILE` beside it."""
_PODS = f'max by (namespace, pod, pool) ({foreign.UP}{{pool!=""}} * 0 + 1)'


def _ours(expr: str) -> str:
    """Keep GPUs of pods of ours, with their pool.

    An exporter that is scraped without `honorLabels` calls the pod that uses a GPU `exported_pod`, and itself `pod`.
    """
    return promql(f"""
        label_replace(
          label_replace({expr}, "namespace", "$1", "exported_namespace", "(.+)"),
          "pod", "$1", "exported_pod", "(.+)"
        )
        * on (namespace, pod) group_left (pool) {_PODS}
    """)


def _gpu(expr: str) -> str:
    return f"max by (namespace, pool, pod, {_DEVICE}, GPU_I_ID, GPU_I_PROFILE) (\n{_indented(_ours(expr))}\n)"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


_GRAPHICS = Group(
    "aftercall-gpu",
    (
        # Utilization is not there under MIG, and says only that some kernel runs; profiling is not there everywhere.
        Record(
            GPU_BUSY,
            _gpu(
                f"({foreign.DCGM_ENGINE} or ({foreign.DCGM_UTIL} / 100 unless on ({_DEVICE}) {foreign.DCGM_ENGINE}))",
            ),
        ),
        Record(GPU_TENSOR, _gpu(foreign.DCGM_TENSOR)),
        Record(GPU_MEMORY, _gpu(f"({foreign.DCGM_USED} / ({foreign.DCGM_USED} + {foreign.DCGM_FREE}))")),
        Record(GPU_POWER, _gpu(foreign.DCGM_POWER)),
    ),
)

GROUPS = (_SPEECH, _GRAPHICS)
