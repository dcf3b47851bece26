# The Ray Serve application, for head and workers of a RayCluster: speech by CTranslate2 and, built with
# `--build-arg EXTRAS=serve,ray,diarization --build-arg CONSTRAINTS=constraints-diarization.txt`, diarization (6 GB more).
#
#   docker build --file docker/ray.Dockerfile --tag aftercall-ray:0.1.0 .
#
# With GPUs, on a base that has CUDA 12 and cuDNN 9: --build-arg BASE=nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04

ARG BASE=python:3.11.14-slim-bookworm

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE}
ARG EXTRAS=serve,ray
ARG CONSTRAINTS=constraints.txt
# wget is what KubeRay's own probes call.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv wget \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/aftercall \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin aftercall
COPY docker/${CONSTRAINTS} /tmp/constraints.txt
COPY --from=build /wheels /wheels
RUN /opt/aftercall/bin/pip install --no-cache-dir --constraint /tmp/constraints.txt "$(ls /wheels/*.whl)[${EXTRAS}]" \
    && rm -r /wheels /tmp/constraints.txt
ENV PATH=/opt/aftercall/bin:$PATH \
    HF_HUB_OFFLINE=1 \
    PYANNOTE_METRICS_ENABLED=0 \
    PYTHONUNBUFFERED=1 \
    RAY_SERVE_ENABLE_HA_PROXY=1 \
    RAY_SERVE_THROUGHPUT_OPTIMIZED=1 \
    RAY_USAGE_STATS_ENABLED=0
USER 10001:10001
WORKDIR /home/aftercall
STOPSIGNAL SIGTERM
CMD ["serve", "run", "aftercall.serve.app:app"]
