# The Python side: worker pool, preflight, and every other beam-rtls command. What is copied is made before, into
# build/images: see README.md beside this file. The Python has to be of the version that wrote the job's jar.
#   docker build -f runners/flink/kubernetes/worker.Dockerfile -t beam-rtls-worker:0.1.0 build/images
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim

COPY constraints.txt beam_rtls-*.whl /tmp/image/
RUN pip install --no-cache-dir --disable-pip-version-check -c /tmp/image/constraints.txt /tmp/image/beam_rtls-*.whl \
    && rm -r /tmp/image

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["beam-rtls", "worker-pool"]
