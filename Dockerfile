# Three images. The first is what most people want:
#
#   docker build --target scan-cpu -t nsfwscan .
#   docker run --rm -v "$PWD/photos:/photos:ro" nsfwscan /photos
#
# scan-gpu and train want an NVIDIA driver on the host and --gpus all. The CUDA libraries come with
# the wheels, so that all three stand on Python's own image. docs/docker.md says more.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS base
ENV PATH=/opt/nsfwscan/bin:$PATH

# What builds and installs stays behind in these stages.
FROM base AS tools
ENV PATH=/opt/tools/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
COPY locks/build.txt locks/
RUN python3 -m venv /opt/tools \
 && pip install --quiet --require-hashes -r locks/build.txt \
 && python3 -m venv --without-pip /opt/nsfwscan
# From here on pip, of the one environment, installs into the other.
ENV PIP_PYTHON=/opt/nsfwscan/bin/python

FROM tools AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY runtime runtime
COPY export export
COPY training training
RUN hatchling build --target wheel --directory /wheel

# The locks name every file by its hash and leave nothing to resolve.
FROM tools AS install-scan-cpu
COPY locks/scan.txt locks/
RUN pip install --quiet --no-deps --require-hashes -r locks/scan.txt
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

# Nobody in particular, so that --user can be anybody: who may read the photos is the host's affair.
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
# It computes nothing on the card: a training has all of its memory.
HEALTHCHECK --interval=10m --timeout=2m CMD ["nsfwtrain", "doctor", "--device", "cpu"]

# The last, which is what `docker build .` makes.
FROM scan AS scan-cpu
COPY --from=install-scan-cpu /opt/nsfwscan /opt/nsfwscan
