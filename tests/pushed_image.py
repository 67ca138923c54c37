"""An image with Python that the nodes of the test cluster can pull."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests import base_image

_REGISTRY = "127.0.0.1:5000"


def python_image() -> str:
    """``GPUBENCH_TEST_PYTHON_IMAGE``, else the test base, pushed to the kit's registry. Skips with
    the reason where there is neither.
    """
    if named := os.environ.get("GPUBENCH_TEST_PYTHON_IMAGE"):
        return named
    if os.environ.get("GPUBENCH_E2E_KUBECONFIG"):
        pytest.skip("GPUBENCH_TEST_PYTHON_IMAGE names no image with Python for this cluster")
    if why := base_image.why_not():
        pytest.skip(why)
    try:
        return _pushed(base_image.ensure_base_image())
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the test base image cannot be made here: {error}")


def _pushed(local: str) -> str:
    import docker

    name, _, tag = local.partition(":")
    repository = f"{_REGISTRY}/{name}"
    client = docker.from_env()
    try:
        client.images.get(local).tag(repository, tag)
        for told in client.images.push(repository, tag, stream=True, decode=True):
            if "error" in told:
                raise RuntimeError(f"{repository}:{tag} cannot be pushed: {told['error']}")
    finally:
        client.close()
    return f"{repository}:{tag}"
