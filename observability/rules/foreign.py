"""Metrics of other programs that rules and dashboards read, by name, with where each is documented.

Names and units differ between servers, and change between their versions: only `speech` and `graphics` read these, and
hand on series of ours. The integration tests ask real servers for them (Triton of nvidia-pytriton 0.7, Ray 2.60).
"""

from __future__ import annotations

_TRITON = "Triton Inference Server, docs/user_guide/metrics.md"
_RAY = "Ray Serve, docs.ray.io/en/latest/serve/monitoring.html"
_DCGM = "dcgm-exporter, etc/default-counters.csv"

UP = "up"

TRITON_COUNT = "nv_inference_count"
TRITON_EXECUTIONS = "nv_inference_exec_count"
TRITON_SUCCESS = "nv_inference_request_success"
TRITON_FAILURE = "nv_inference_request_failure"
TRITON_REQUEST_US = "nv_inference_request_duration_us"
TRITON_QUEUE_US = "nv_inference_queue_duration_us"
TRITON_INFER_US = "nv_inference_compute_infer_duration_us"
TRITON_PENDING = "nv_inference_pending_request_count"

RAY_REQUESTS = "ray_serve_deployment_request_counter_total"
RAY_ERRORS = "ray_serve_deployment_error_counter_total"
RAY_LATENCY_MS = "ray_serve_deployment_processing_latency_ms"
RAY_ROUTING_MS = "ray_serve_request_router_fulfillment_time_ms"
RAY_QUEUED = "ray_serve_deployment_queued_queries"

DCGM_ENGINE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
DCGM_UTIL = "DCGM_FI_DEV_GPU_UTIL"
DCGM_TENSOR = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"
DCGM_USED = "DCGM_FI_DEV_FB_USED"
DCGM_FREE = "DCGM_FI_DEV_FB_FREE"
DCGM_POWER = "DCGM_FI_DEV_POWER_USAGE"

SOURCES = {
    UP: "Prometheus itself, for every target",
    TRITON_COUNT: _TRITON,
    TRITON_EXECUTIONS: _TRITON,
    TRITON_SUCCESS: _TRITON,
    TRITON_FAILURE: _TRITON,
    TRITON_REQUEST_US: _TRITON,
    TRITON_QUEUE_US: _TRITON,
    TRITON_INFER_US: _TRITON,
    TRITON_PENDING: _TRITON,
    RAY_REQUESTS: _RAY,
    RAY_ERRORS: _RAY,
    f"{RAY_LATENCY_MS}_sum": _RAY,
    f"{RAY_LATENCY_MS}_count": _RAY,
    f"{RAY_ROUTING_MS}_sum": _RAY,
    f"{RAY_ROUTING_MS}_count": _RAY,
    RAY_QUEUED: _RAY,
    DCGM_ENGINE: _DCGM,
    DCGM_UTIL: _DCGM,
    DCGM_TENSOR: _DCGM,
    DCGM_USED: _DCGM,
    DCGM_FREE: _DCGM,
    DCGM_POWER: _DCGM,
}
"""Where each is documented."""
