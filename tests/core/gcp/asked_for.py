"""A cluster and a pool to ask for."""

from __future__ import annotations

from core.gcp.specs import ClusterSpec, PoolSpec

SYSTEM = PoolSpec("system", "e2-medium", 1, ("us-central1-a",), labels={"gpubench-run": "r"})
GPU = PoolSpec(
    "gpu",
    "n1-standard-4",
    1,
    ("us-central1-a",),
    most_nodes=2,
    gpu="nvidia-tesla-t4",
    gpus=1,
    spot=True,
    longest_s=7200,
    service_account="nodes@p.iam.gserviceaccount.com",
    labels={"gpubench-run": "r"},
)
SPEC = ClusterSpec("c", "us-central1-a", SYSTEM, {"gpubench-run": "r", "gpubench-owner": "o"})
