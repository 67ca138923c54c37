# The benchmark image. `gpubench-tui --no-ui image build` builds it; by hand:
#   docker build -t gpubench .
#   docker build -t gpubench --build-arg BASE_IMAGE=REGISTRY/REPOSITORY:TAG .
# BASE_IMAGE is any Debian or Ubuntu with Python 3.11 or newer, or none yet in its packages. What it
# has is used: with torch, torchvision and the rest in it, nothing is downloaded.
ARG BASE_IMAGE=nvidia/cuda:12.8.1-base-ubuntu24.04
FROM ${BASE_IMAGE}

# Some bases end as another user.
USER 0:0

# What the base lacks. Before our code, so that a change of it does not come here.
COPY benchmark/requirements.txt core/image/unmet.py /opt/gpubench/setup/
RUN set -eu; \
    export DEBIAN_FRONTEND=noninteractive; \
    apt_install() { \
        apt-get update -q; \
        apt-get install -qy --no-install-recommends "$@"; \
    }; \
    wanted=""; \
    command -v python3 >/dev/null || wanted="python3 python3-venv ca-certificates"; \
    command -v tini >/dev/null || wanted="$wanted tini"; \
    [ -z "$wanted" ] || apt_install $wanted; \
    [ -e /usr/bin/tini ] || ln -s "$(command -v tini)" /usr/bin/tini; \
    cd /opt/gpubench/setup; \
    python3 -B unmet.py requirements.txt > unmet.txt; \
    if grep -q . unmet.txt; then \
        python3 -B -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv ca-certificates; \
        python3 -m venv --system-site-packages /opt/gpubench/venv; \
        /opt/gpubench/venv/bin/python3 -m pip install \
            --no-cache-dir --disable-pip-version-check --progress-bar off -r unmet.txt; \
        /opt/gpubench/venv/bin/python3 -m pip uninstall -qy pip; \
    fi; \
    getent passwd 10001 >/dev/null \
        || echo 'gpubench:x:10001:10001:gpubench:/tmp:/usr/sbin/nologin' >> /etc/passwd; \
    getent group 10001 >/dev/null || echo 'gpubench:x:10001:' >> /etc/group; \
    install -d -o 10001 -g 10001 /results; \
    rm -rf /opt/gpubench/setup /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /root/.cache

# GKE mounts the driver into /usr/local/nvidia; elsewhere the runtime puts it on the usual paths.
# The root file system is read-only: compiled files would have no place, and HOME is where caches go.
ENV PATH=/opt/gpubench/venv/bin:/usr/local/nvidia/bin:${PATH} \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/usr/local/nvidia/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HOME=/tmp \
    PYTHONPATH=/opt/gpubench \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

COPY benchmark /opt/gpubench/benchmark
# By content: the files' times are not kept on every way to a node.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/gpubench/benchmark

ARG BASE_IMAGE
ARG VERSION=0
LABEL org.opencontainers.image.title="gpubench benchmark" \
      org.opencontainers.image.description="ResNet-50 under LoadGen, with telemetry and attestation" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"

# Numeric, so that a cluster can see that it is not root.
USER 10001:10001
WORKDIR /results
# As the first process Python would ignore SIGTERM.
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["python3", "-m", "benchmark", "--help"]
