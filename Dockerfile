# Four images. Most users need the first:
#
#   docker build --target scan-cpu -t nsfwscan .
#   docker run --rm -v "$PWD/photos:/photos:ro" nsfwscan /photos
#
# scan-gpu and train need an NVIDIA driver on the host and --gpus all. The wheels include the CUDA
# libraries, so all are based on the official Python image. See docs/docker.md.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS base
ENV PATH=/opt/nsfwscan/bin:$PATH

# The build tools stay in these stages.
FROM base AS tools
ENV PATH=/opt/tools/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY locks/build.txt locks/
RUN python3 -m venv /opt/tools \
 && pip install --quiet --require-hashes -r locks/build.txt \
 && python3 -m venv --without-pip /opt/nsfwscan
# From here on, pip in /opt/tools installs into /opt/nsfwscan.
ENV PIP_PYTHON=/opt/nsfwscan/bin/python

FROM tools AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY runtime runtime
COPY export export
COPY training training
RUN hatchling build --target wheel --directory /wheel

# The locks contain the hash of every file, so pip resolves nothing.
FROM tools AS install-scan-cpu
COPY locks/scan.txt locks/
RUN pip install --quiet --no-deps --require-hashes -r locks/scan.txt
COPY --from=wheel /wheel /wheel
RUN pip install --quiet --no-deps /wheel/*.whl

FROM tools AS install-scan-cluster
COPY locks/scan-cluster.txt locks/
RUN pip install --quiet --no-deps --require-hashes -r locks/scan-cluster.txt
COPY --from=wheel /wheel /wheel
RUN pip install --quiet --no-deps /wheel/*.whl

FROM tools AS install-scan-gpu
COPY locks/scan-gpu.txt locks/
RUN pip install --quiet --no-deps --require-hashes -r locks/scan-gpu.txt
COPY --from=wheel /wheel /wheel
RUN pip install --quiet --no-deps /wheel/*.whl

FROM tools AS install-train
COPY locks/train-gpu.txt locks/
RUN pip install --quiet --no-deps --require-hashes -r locks/train-gpu.txt
COPY --from=wheel /wheel /wheel
RUN pip install --quiet --no-deps /wheel/*.whl

# An unprivileged user. --user can set any other, for example one that may read the photos.
FROM base AS scan
ENV XDG_CACHE_HOME=/cache
RUN install -d -m 1777 /cache
VOLUME /cache
USER 65534:65534
ENTRYPOINT ["nsfwscan"]
CMD ["--help"]
HEALTHCHECK --interval=5m --timeout=1m CMD ["nsfwscan", "doctor"]

FROM scan AS scan-gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=install-scan-gpu /opt/nsfwscan /opt/nsfwscan

# With Ray, object stores and Parquet: a task of a job, or a node of a Ray cluster.
FROM scan AS scan-cluster
ENV HOME=/tmp
COPY --from=install-scan-cluster /opt/nsfwscan /opt/nsfwscan

FROM base AS train
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    TFHUB_CACHE_DIR=/data/hub \
    HOME=/tmp
RUN install -d -m 1777 /data
COPY --from=install-train /opt/nsfwscan /opt/nsfwscan
WORKDIR /data
USER 65534:65534
CMD ["nsfwtrain", "--help"]
# The check uses the CPU, since a training run needs all memory of the GPU.
HEALTHCHECK --interval=10m --timeout=2m CMD ["nsfwtrain", "doctor", "--device", "cpu"]

# The last stage is the default of `docker build .`.
FROM scan AS scan-cpu
COPY --from=install-scan-cpu /opt/nsfwscan /opt/nsfwscan
