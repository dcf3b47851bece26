# The command, for every role that needs no engine beside it: consume, relay, api, operator, publish and the rest; with an
# engine for CPUs inside, and models mounted at /models, it also serves `aftercall up`.
#
#   docker build --file docker/aftercall.Dockerfile --tag aftercall:0.1.0 .

ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${PYTHON}
COPY docker/constraints.txt /tmp/constraints.txt
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt "$(ls /wheels/*.whl)[local,operator,eval]" \
    && rm -r /wheels /tmp/constraints.txt \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin aftercall
# Nothing is fetched at run time: models are mounted, and none is looked for elsewhere.
ENV HF_HUB_OFFLINE=1 \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
# /tmp is the only folder that is written, for the spool: mount an emptyDir there, and the root may be read-only.
WORKDIR /tmp
STOPSIGNAL SIGTERM
ENTRYPOINT ["aftercall"]
CMD ["consume"]
