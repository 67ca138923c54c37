"""What a person would type for what the console shows."""

from __future__ import annotations

import shlex

from core.report.equivalents import equivalents
from core.run.events import ResourceIntended
from core.run.view import ResourceView, RunView


def view_with(
    kind: str, name: str, location: str = "", identity: str = "", **settings: str
) -> RunView:
    intended = ResourceIntended(
        kind=kind, name=name, location=location, delete_command=f"remove {name}"
    )
    return RunView(
        id="the-run",
        command="gpubench-tui --no-ui run --leg xen",
        settings=settings,
        resources={(kind, name): ResourceView(intended, identity)},
    )


def commands(view: RunView, kind: str) -> list[str]:
    return [shlex.join(entry.command) for entry in equivalents(view) if entry.kind == kind]


def test_our_own_are_the_words_after_no_ui() -> None:
    view = view_with("image", "x")
    own = [shlex.join(entry.command) for entry in equivalents(view) if entry.own]
    assert own[0] == "run --leg xen"
    assert "teardown the-run" in own
    assert "stop the-run" in own
    assert "rerun the-run" in own


def test_a_cluster_is_described_where_it_is_with_its_nvidia_pods() -> None:
    view = view_with("cluster", "c1", "us-central1-a")
    assert commands(view, "describe") == [
        "gcloud container clusters describe c1 --zone us-central1-a"
    ]
    (pods,) = commands(view, "system pods")
    assert "--namespace kube-system" in pods
    assert "nvidia-driver-installer" in pods


def test_a_job_is_described_with_its_pods_and_its_log_followed() -> None:
    view = view_with("job", "gpu-benchmark-xen", namespace="bench")
    assert commands(view, "describe") == [
        "kubectl describe job gpu-benchmark-xen --namespace bench",
        "kubectl describe pods --selector job-name=gpu-benchmark-xen --namespace bench",
    ]
    assert commands(view, "log")[-1].startswith("kubectl logs --follow")


def test_kubectl_is_led_to_the_cluster_and_namespace_of_the_run() -> None:
    place = "context east, namespace of-the-job"
    view = view_with("pod", "p", place, kubeconfig="/k", context="east", namespace="bench")
    assert commands(view, "describe") == [
        "kubectl describe pod p --namespace of-the-job --kubeconfig /k --context east"
    ]


def test_several_kubeconfigs_go_in_the_variable_for_the_flag_takes_one() -> None:
    view = view_with("pod", "p", kubeconfig="/a:/b")
    assert commands(view, "describe") == ["env KUBECONFIG=/a:/b kubectl describe pod p"]


def test_a_daemonset_is_described_in_the_namespace_that_its_name_says() -> None:
    view = view_with("daemonset", "kube-system/installer", namespace="bench")
    assert commands(view, "describe") == [
        "kubectl describe daemonset installer --namespace kube-system"
    ]


def test_a_run_on_a_cluster_is_described_by_us_and_its_nvidia_pods_by_kubectl() -> None:
    view = view_with("image", "x", context="east")
    assert commands(view, "describe") == commands(view, "system pods") == []
    view.target = "kubernetes"
    assert commands(view, "describe") == ["describe the-run"]
    (pods,) = commands(view, "system pods")
    assert pods.endswith("--namespace kube-system --context east")
    own = [shlex.join(entry.command) for entry in equivalents(view) if entry.own]
    assert "collect the-run" in own


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
