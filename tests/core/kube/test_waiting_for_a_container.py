"""Images, settings and commands that keep a container from starting are told apart."""

from __future__ import annotations

import pytest

from core.kube.reason import Reason
from core.kube.waiting import why_waiting
from tests.core.kube.objects_for_tests import (
    container,
    event,
    job,
    pod,
    waiting,
)

IMAGE = "us-docker.pkg.dev/project/benchmark/app:1"


def _must(reason: Reason | None) -> Reason:
    assert reason is not None
    return reason


@pytest.mark.parametrize(
    ("message", "words", "hopeless_after"),
    [
        (
            'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed '
            'to resolve reference "{image}": {image}: not found',
            "is not in us-docker.pkg.dev",
            2,
        ),
        ("manifest for {image} not found: manifest unknown: Failed to fetch", "is not in", 2),
        (
            'rpc error: code = Unknown desc = failed to resolve reference "{image}": failed to '
            "authorize: failed to fetch oauth token: unexpected status: 403 Forbidden",
            "may not be pulled by node gpu-node-1",
            4,
        ),
        (
            "pull access denied for x, repository does not exist or may require 'docker login': "
            "denied: requested access to the resource is denied",
            "denies it, or has no such image",
            4,
        ),
        (
            'failed to do request: Head "https://us-docker.pkg.dev/v2/x": dial tcp: lookup '
            "us-docker.pkg.dev: no such host",
            "does not reach us-docker.pkg.dev (dial tcp: lookup us-docker.pkg.dev: no such host)",
            None,
        ),
        (
            'failed to do request: Head "https://r/v2/": net/http: TLS handshake timeout',
            "does not reach",
            None,
        ),
        (
            "failed to do request: x509: certificate signed by unknown authority",
            "does not reach",
            None,
        ),
        (
            "write /var/lib/containerd/io.containerd.content.v1/x: no space left on device",
            "does not fit on the disk of node gpu-node-1",
            None,
        ),
        (
            "unexpected status code 429 Too Many Requests: toomanyrequests: You have reached your "
            "pull rate limit",
            "limits how often",
            None,
        ),
        (
            'failed to resolve reference "{image}": no match for platform in manifest: not found',
            "no variant for the processor",
            1,
        ),
        ("something else", "cannot be pulled by node gpu-node-1: something else", None),
    ],
)
def test_a_failed_pull_names_its_cause(
    message: str, words: str, hopeless_after: int | None
) -> None:
    said = message.format(image=IMAGE)
    backing_off = waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')
    for tries in range(1, 6):
        # Kubelets before 1.31 say the cause in the event alone.
        failure = event("Failed", f'Failed to pull image "{IMAGE}": {said}', count=tries)
        reason = _must(why_waiting(job(), backing_off, [failure]))
        assert reason.kind == "image pull"
        assert words in reason.sentence
        assert reason.hopeless == (hopeless_after is not None and tries >= hopeless_after)
    # Without events the state has to do; how often it was tried is not known then.
    first = _must(why_waiting(job(), waiting("ErrImagePull", said), []))
    assert words.split(" (")[0] in first.sentence


def test_words_in_an_images_own_name_are_no_cause() -> None:
    image = "registry.example/denied/not-found:timeout"
    refused = pod(
        image=image,
        containerStatuses=[
            container({"waiting": {"reason": "ErrImagePull", "message": f"{image}: strange"}})
        ],
    )
    assert "cannot be pulled" in _must(why_waiting(job(), refused, [])).sentence


@pytest.mark.parametrize(
    ("reason", "message", "kind", "hopeless"),
    [
        ("ErrImageNeverPull", 'Container image "x" is not present', "image pull", True),
        ("CreateContainerConfigError", 'secret "weights" not found', "configuration", True),
        (
            "CreateContainerConfigError",
            "failed to sync configmap cache: timed out waiting for the condition",
            "configuration",
            False,
        ),
        (
            "RunContainerError",
            'exec: "python4": executable file not found in $PATH: unknown',
            "cannot start",
            True,
        ),
        (
            "CreateContainerError",
            'failed to reserve container name "x": name "x" is reserved for "y"',
            "cannot start",
            False,
        ),
        ("CreateContainerError", "Error: no command specified", "cannot start", True),
        ("PostStartHookError", "it failed", "starting", False),
    ],
)
def test_a_container_that_cannot_start_says_so(
    reason: str, message: str, kind: str, hopeless: bool
) -> None:
    found = _must(why_waiting(job(), waiting(reason, message), []))
    assert (found.kind, found.hopeless) == (kind, hopeless)


def test_a_broken_driver_under_the_runtime_points_to_the_node() -> None:
    said = (
        "failed to create shim task: OCI runtime create failed: nvidia-container-cli: "
        "initialization error: nvml error: driver not loaded: unknown"
    )
    assert (
        "container toolkit"
        in _must(why_waiting(job(), waiting("RunContainerError", said), [])).remedy
    )


def test_a_crash_loop_counts_its_tries_and_is_given_up() -> None:
    last = {"terminated": {"exitCode": 4}}
    for restarts, hopeless in ((1, False), (3, True)):
        looping = waiting("CrashLoopBackOff", "back-off 20s", restarts=restarts, last=last)
        reason = _must(why_waiting(job(), looping, []))
        assert f"failed {restarts + 1} times (exit code 4)" in reason.sentence
        assert reason.hopeless == hopeless
