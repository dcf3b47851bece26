# Triton with the models `speech` and `diarization` of a rendered repository, which is mounted at /models with the weights.
#
#   docker build --file docker/triton.Dockerfile --tag aftercall-triton:0.1.0 .
#
# With pyannote for `diarization`: --build-arg EXTRAS=serve,diarization --build-arg CONSTRAINTS=constraints-diarization.txt.
# With TensorRT-LLM, on the image that has it: --build-arg BASE=nvcr.io/nvidia/tritonserver:26.09-trtllm-python-py3.

ARG BASE=nvcr.io/nvidia/tritonserver:26.09-py3

FROM python:3.11.14-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${BASE}
ARG EXTRAS=serve
ARG CONSTRAINTS=constraints.txt
COPY docker/${CONSTRAINTS} /tmp/constraints.txt
COPY --from=build /wheels /wheels
# Into the server's own Python: the Python backend looks at no other.
RUN pip install --no-cache-dir --break-system-packages --constraint /tmp/constraints.txt \
        "$(ls /wheels/*.whl)[${EXTRAS}]" \
    && rm -r /wheels /tmp/constraints.txt
ENV HF_HUB_OFFLINE=1 \
    HOME=/tmp \
    PYANNOTE_METRICS_ENABLED=0 \
    PYTHONDONTWRITEBYTECODE=1
# The image's own user of that name has no password and owns nothing.
USER 1000:1000
WORKDIR /tmp
STOPSIGNAL SIGTERM
EXPOSE 8000 8001 8002
CMD ["tritonserver", "--model-repository=/models", "--disable-auto-complete-config", "--exit-timeout-secs=60"]
