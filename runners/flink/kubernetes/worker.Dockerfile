# The Python side: worker pool, preflight, and every other beam-rtls command. What is copied is made before, into
# build/images: see README.md beside this file. The Python has to be of the version that wrote the job's jar.
#   docker build -f runners/flink/kubernetes/worker.Dockerfile -t beam-rtls-worker:0.1.0 build/images
ARG PYTHON_VERSION=3.11
FROM python:${PYTHON_VERSION}-slim

COPY constraints.txt beam_rtls-*.whl /tmp/image/
RUN pip install --no-cache-dir --disable-pip-version-check -c /tmp/image/constraints.txt /tmp/image/beam_rtls-*.whl \
    && rm -r /tmp/image

# The solver and the filter are compiled here, by the user that runs them. For any CPU of the architecture: what is
# compiled for the CPU of the building machine would be of no use on another, and these kernels gain nothing from it.
# In the pod this folder can only be read; a worker that starts copies from it to its home (pipeline/positioning/warm_up.py).
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/var/cache/beam-rtls NUMBA_CPU_NAME=generic
RUN install -d -o 10001 -g 10001 "$NUMBA_CACHE_DIR"
USER 10001:10001
RUN python -m pipeline.positioning.warm_up
ENTRYPOINT ["beam-rtls", "worker-pool"]
