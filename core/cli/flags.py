"""The flags of settings, with help that fits a line. Imports nothing: --help must be quick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The flags of a setting: its name in core.settings, and help that fits a line. Types are checked
# with the rest of the settings, all errors at once.
RUN_FLAGS = {
    "target": "where to run: local, kubernetes or gke (default: local)",
    "leg": "baseline, xen or any other label (default: baseline)",
    "profile": "what to measure: quick, reference or a TOML file (default: quick)",
    "repeats": "processes for each measurement (default: the profile's)",
    "probes": "time launches, copies, page faults before each block, or no",
    "device": "auto, cpu, cuda or cuda:N",
    "precision": "auto, fp32, tf32, fp16 or bf16",
    "memory_format": "auto, channels_last or contiguous",
    "execution": "auto, eager, jit, graph or compile",
    "allocator": "auto, retain or system",
    "threads": "CPU threads of the model; 0: one for each usable CPU",
    "weights": "auto, pretrained, random or a state_dict file",
    "dataset": "synthetic or a folder of images",
    "arrival_rates_from": "run, leg or result file whose Server rates to use, or none",
    "context": "kubeconfig context (default: the current one)",
    "kubeconfig": "kubeconfig file (default: $KUBECONFIG or ~/.kube/config)",
    "namespace": "namespace to work in (default: the context's)",
    "image": "REGISTRY/REPOSITORY to build into, or an image that is there",
    "base_image": "what the image is built on (default: CUDA)",
    "gpus": "GPUs that the pod asks for; 0: measure on the node's CPU (default: 1)",
    "cpus": "CPUs that the pod asks for (4, 500m)",
    "memory": "memory that the pod asks for (8Gi)",
    "node_selector": "labels that the node must have: KEY=VALUE,...",
    "tolerations": "taints to tolerate: KEY[=VALUE][:EFFECT],...",
    "runtime_class": "the pod's runtimeClassName",
    "pull_secret": "Secret with which the node pulls the image",
    "install_drivers": "gke-cos, gke-ubuntu or a DaemonSet manifest (file or https)",
    "name_suffix": "added to the Job's name and to the results' folder",
    "start_minutes": "how long to wait for drivers and for the pod (default: 20)",
    "job_minutes": "how long the benchmark may take (default: by the plan)",
    "hold_minutes": "how long the pod keeps uncollected results (default: 30)",
    "keep": "what stays on the cluster: nothing, failed or everything",
    "project": "Google Cloud project",
    "credentials": "key file (default: application default credentials)",
    "impersonate": "service account to act as",
    "zone": "where the cluster is (default: us-central1-a)",
    "zones": "where else GPUs may be: ZONE,..., region or none (default: region)",
    "regions": "other regions to try after that (default: none)",
    "cluster_name": "the cluster's name (default: gpu-benchmark-cluster)",
    "reuse": "a cluster that is there may be used: never, ours or any",
    "machine": "GPU nodes' machine type (default: n1-standard-4)",
    "gpu": "accelerator type (default: nvidia-tesla-t4)",
    "most_nodes": "GPU nodes at most (default: 2)",
    "spot": "spot GPU nodes",
    "driver": "NVIDIA driver that Google installs: default, latest or disabled",
    "disk_gb": "GPU node's disk in GB (default: 60)",
    "system_machine": "machine type of the system's node (default: e2-medium)",
    "network": "network (default: default)",
    "subnetwork": "subnetwork (default: the network's)",
    "node_account": "the nodes' service account",
    "release_channel": "rapid, regular or stable (default: regular)",
    "endpoint": "reach the control plane by dns or ip (default: dns)",
    "budget": "dollars that the run may cost in all (default: 5)",
    "deadline_minutes": "minutes after which it is torn down (default: 120)",
    "prices": "live or shipped (default: live)",
    "remove_image": "remove the image from its registry at the end too",
}
SWITCHES = ("probes", "spot", "remove_image")
ACCOUNT_FLAGS = ("project", "credentials", "impersonate")
ROLE_FLAGS = ("namespace", "install_drivers")
COMMON_FLAGS = {
    "results_dir": "where results go (default: ./results)",
    "state_dir": "where the journal is (default: ~/.local/state/gpubench-tui)",
}


def run_arguments(values: Mapping[str, Any]) -> list[str]:
    """Return the command line, from the verb on, that starts a run with these settings."""
    parts = ["run"]
    for name in RUN_FLAGS:
        if (value := values.get(name)) is not None:
            parts += [f"--{name.replace('_', '-')}", str(value)]
    return parts
