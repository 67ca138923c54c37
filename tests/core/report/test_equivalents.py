"""What a person would type for what the console shows."""

from __future__ import annotations

import shlex

from core.report.equivalents import equivalents
from core.run.events import ResourceIntended
from core.run.view import ResourceView, RunView


def view_with(kind: str, name: str, location: str = "", identity: str = "") -> RunView:
    intended = ResourceIntended(
        kind=kind, name=name, location=location, delete_command=f"remove {name}"
    )
    return RunView(
        id="the-run",
        command="gpubench-tui --no-ui run --leg xen",
        resources={(kind, name): ResourceView(intended, identity)},
    )


def commands(view: RunView, kind: str) -> list[str]:
    return [shlex.join(entry.command) for entry in equivalents(view) if entry.kind == kind]


def test_our_own_are_the_words_after_no_ui() -> None:
    own = commands(view_with("image", "x"), "own")
    assert own[0] == "run --leg xen"
    assert "teardown the-run" in own
    assert "stop the-run" in own


def test_a_cluster_is_described_where_it_is_with_its_nvidia_pods() -> None:
    view = view_with("cluster", "c1", "us-central1-a")
    assert commands(view, "describe") == [
        "gcloud container clusters describe c1 --zone us-central1-a"
    ]
    (pods,) = commands(view, "system pods")
    assert "--namespace kube-system" in pods
    assert "nvidia-driver-installer" in pods


def test_a_job_is_described_with_its_pods_and_its_log_followed() -> None:
    view = view_with("job", "gpu-benchmark-xen", "bench")
    assert commands(view, "describe") == [
        "kubectl describe job gpu-benchmark-xen --namespace bench",
        "kubectl describe pods --selector job-name=gpu-benchmark-xen --namespace bench",
    ]
    assert commands(view, "log")[-1].startswith("kubectl logs --follow")


def test_a_process_is_described_once_it_is_known() -> None:
    assert commands(view_with("process", "benchmark"), "describe") == []
    (described,) = commands(view_with("process", "benchmark", identity="77:123"), "describe")
    assert described.endswith("-s 77")


def test_what_is_gone_has_no_commands() -> None:
    view = view_with("job", "x")
    assert commands(view, "delete") == ["remove x"]
    view.resources["job", "x"].proof = "not found"
    assert commands(view, "delete") == commands(view, "describe") == []


def test_a_command_that_no_shell_reads_stays_one_word() -> None:
    view = view_with("disk", "it's")
    assert ["remove it's"] in [list(e.command) for e in equivalents(view) if e.kind == "delete"]
