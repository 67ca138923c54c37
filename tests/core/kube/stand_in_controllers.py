"""What the controllers of the stand-in do: Jobs, owners, deletions; and defaults of new objects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tests.core.kube.stand_in_pods import Pod, condition
from tests.core.kube.stand_in_store import (
    JOBS,
    PODS,
    RESOURCES,
    Object,
    Refused,
    Resource,
    Store,
    invalid,
    rfc3339,
    suffix,
)


class Controllers:
    """The Job controller, the garbage collector, the namespace's, and the kubelet's clean-up."""

    def __init__(self, store: Store, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.store = store
        self.now_ns = now_ns
        self.pods: dict[tuple[str, str], Pod] = {}
        self.hold_deletions = False
        """Pods that are deleted with a grace period stay Terminating until ``gone()``."""

    def created(self, resource: Resource, document: Object) -> None:
        metadata = document["metadata"]
        if resource is PODS:
            self.pods[metadata["namespace"], metadata["name"]] = Pod(
                self, metadata["namespace"], metadata["name"]
            )
        elif resource is JOBS:
            self._start_job(document)

    def delete_pod(self, document: Object, grace_s: int | None) -> Object:
        metadata = document["metadata"]
        pod = self.pods[metadata["namespace"], metadata["name"]]
        if grace_s is None:
            grace_s = int(document["spec"].get("terminationGracePeriodSeconds", 30))
        if not document["spec"].get("nodeName") or document["status"].get("phase") in (
            "Succeeded",
            "Failed",
        ):
            grace_s = 0
        if "deletionTimestamp" not in metadata or not grace_s:
            document = self.store.update(
                *(PODS, pod.namespace, pod.name),
                {
                    "metadata": {
                        "deletionTimestamp": rfc3339(self.now_ns() / 1e9 + grace_s),
                        "deletionGracePeriodSeconds": grace_s,
                    }
                },
            )
        if not grace_s:
            pod.gone()
        elif not self.hold_deletions:
            asyncio.get_running_loop().call_soon(self._kill, pod)
        return document

    def delete_job(self, document: Object, policy: str) -> Object:
        metadata = document["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        owned = self.pods_of(metadata["uid"])
        if policy == "Foreground" and owned:
            document = self.store.update(
                *(JOBS, namespace, name),
                {
                    "metadata": {
                        "deletionTimestamp": rfc3339(self.now_ns() / 1e9),
                        "deletionGracePeriodSeconds": 0,
                        "finalizers": ["foregroundDeletion"],
                    }
                },
            )
        else:
            self.store.remove(JOBS, namespace, name)
        for pod in owned:
            if policy == "Orphan":
                free = {"metadata": {"ownerReferences": None}}
                self.store.update(PODS, namespace, pod["metadata"]["name"], free)
            else:
                self.delete_pod(pod, None)
        return document

    def delete_namespace(self, name: str) -> None:
        for resource in RESOURCES.values():
            if resource.namespaced:
                for each in self.store.list(resource, name):
                    self.store.remove(resource, name, each["metadata"]["name"])
        self.pods = {key: pod for key, pod in self.pods.items() if key[0] != name}
        self.store.remove(RESOURCES["", "namespaces"], "", name)

    def pods_of(self, owner_uid: str) -> list[Object]:
        return [
            pod
            for pod in self.store.list(PODS)
            for owner in pod["metadata"].get("ownerReferences") or []
            if owner["uid"] == owner_uid
        ]

    def remove_pod(self, pod: Pod) -> None:
        document = self.store.remove(PODS, pod.namespace, pod.name)
        del self.pods[pod.namespace, pod.name]
        for owner in document["metadata"].get("ownerReferences") or []:
            self._job_lost_pod(pod.namespace, owner)

    def pod_ended(self, pod: Pod) -> None:
        """Count a finished pod in the status of its Job."""
        for owner in pod.document["metadata"].get("ownerReferences") or []:
            if owner["kind"] != "Job":
                continue
            job = self.store.get(JOBS, pod.namespace, owner["name"])
            status = job.get("status") or {}
            now = rfc3339(self.now_ns() / 1e9)
            if pod.document["status"]["phase"] == "Succeeded":
                done = [condition("Complete", True, now)]
                self._job_status(job, succeeded=1, active=None, completionTime=now, conditions=done)
                continue
            failed = int(status.get("failed", 0)) + 1
            if failed > int(job["spec"].get("backoffLimit", 6)):
                text = "Job has reached the specified backoff limit"
                ended = condition("Failed", True, now, "BackoffLimitExceeded", text)
                self._job_status(job, failed=failed, active=None, conditions=[ended])
                self.event(job, "BackoffLimitExceeded", text, kind="Warning")
            else:
                self._job_status(job, failed=failed)
                self._start_pod(job)

    def exceed_deadline(self, namespace: str, job_name: str) -> None:
        """Do what happens when ``activeDeadlineSeconds`` are over."""
        job = self.store.get(JOBS, namespace, job_name)
        now = rfc3339(self.now_ns() / 1e9)
        text = "Job was active longer than specified deadline"
        ended = condition("Failed", True, now, "DeadlineExceeded", text)
        self._job_status(job, failed=1, active=None, conditions=[ended])
        self.event(job, "DeadlineExceeded", text, kind="Warning")
        for pod in self.pods_of(job["metadata"]["uid"]):
            self.delete_pod(pod, None)

    def event(self, about: Object, reason: str, message: str, *, kind: str = "Normal") -> Object:
        metadata = about["metadata"]
        namespace = metadata.get("namespace") or "default"
        now = rfc3339(self.now_ns() / 1e9)
        body = {
            "metadata": {"name": f"{metadata['name']}.{suffix()}{suffix()}"},
            "involvedObject": {
                "kind": about["kind"],
                "namespace": metadata.get("namespace", ""),
                "name": metadata["name"],
                "uid": metadata["uid"],
                "apiVersion": about["apiVersion"],
            },
            **{"reason": reason, "message": message, "type": kind, "count": 1},
            **{"firstTimestamp": now, "lastTimestamp": now, "eventTime": None},
            "source": {"component": "stand-in"},
        }
        return self.store.create(RESOURCES["", "events"], namespace, body, self.now_ns() / 1e9)

    def _kill(self, pod: Pod) -> None:
        if self.pods.get((pod.namespace, pod.name)) is pod:
            pod.gone()

    def _job_status(self, job: Object, **fields: Any) -> None:
        metadata = job["metadata"]
        self.store.update(JOBS, metadata["namespace"], metadata["name"], {"status": fields})

    def _job_lost_pod(self, namespace: str, owner: Object) -> None:
        try:
            job = self.store.get(JOBS, namespace, owner["name"])
        except Refused:
            return
        metadata = job["metadata"]
        if metadata["uid"] != owner["uid"]:
            return
        if "deletionTimestamp" in metadata:
            if not self.pods_of(owner["uid"]):
                self.store.remove(JOBS, namespace, owner["name"])
        elif not (job.get("status") or {}).get("conditions"):
            self._start_pod(job)

    def _start_job(self, job: Object) -> None:
        self._job_status(job, startTime=rfc3339(self.now_ns() / 1e9), active=1)
        for _ in range(int(job["spec"].get("parallelism", 1))):
            self._start_pod(job)

    def _start_pod(self, job: Object) -> None:
        template, owner = job["spec"]["template"], job["metadata"]
        reference = {
            **{"apiVersion": "batch/v1", "kind": "Job", "name": owner["name"]},
            **{"uid": owner["uid"], "controller": True, "blockOwnerDeletion": True},
        }
        template_metadata = template.get("metadata") or {}
        body = {
            "metadata": {
                "generateName": f"{owner['name']}-",
                "labels": dict(template_metadata.get("labels") or {}),
                "annotations": dict(template_metadata.get("annotations") or {}),
                "ownerReferences": [reference],
            },
            "spec": template["spec"],
        }
        prepare_pod(body)
        pod = self.store.create(PODS, owner["namespace"], body, self.now_ns() / 1e9)
        self.created(PODS, pod)
        self.event(job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")


def prepare_pod(body: Object) -> None:
    """Set what the API server sets in a new pod.

    Raises: Refused (422).
    """
    name = str((body.get("metadata") or {}).get("name") or "")
    spec = body.setdefault("spec", {})
    _validate_pod_spec(PODS, name, spec, "spec")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    body["status"] = {"phase": "Pending", "qosClass": "BestEffort"}


def prepare_job(body: Object) -> None:
    """Set what the API server sets in a new Job, its selector and labels excepted.

    Raises: Refused (422).
    """
    name = str((body.get("metadata") or {}).get("name") or "")
    spec = body.setdefault("spec", {})
    template = spec.setdefault("template", {})
    template_spec = template.setdefault("spec", {})
    _validate_pod_spec(JOBS, name, template_spec, "spec.template.spec")
    if template_spec.get("restartPolicy") not in ("Never", "OnFailure"):
        text = 'Required value: valid values: "OnFailure", "Never"'
        where = "spec.template.spec.restartPolicy"
        raise invalid(JOBS, name, [(where, "FieldValueRequired", text)])
    if len(name) > 63:
        text = f'Invalid value: "{name}": must be no more than 63 characters'
        raise invalid(JOBS, name, [("spec.template.labels", "FieldValueInvalid", text)])
    for key, value in (("parallelism", 1), ("completions", 1), ("backoffLimit", 6)):
        spec.setdefault(key, value)
    template_spec.setdefault("terminationGracePeriodSeconds", 30)
    body["status"] = {}


def label_job(job: Object) -> None:
    """Set the selector, which needs the Job's uid."""
    uid, name = job["metadata"]["uid"], job["metadata"]["name"]
    job["spec"]["selector"] = {"matchLabels": {"controller-uid": uid}}
    metadata = job["spec"]["template"].setdefault("metadata", {})
    metadata.setdefault("labels", {}).update({"controller-uid": uid, "job-name": name})


def _validate_pod_spec(resource: Resource, name: str, spec: Object, where: str) -> None:
    problems = []
    if not spec.get("containers"):
        problems.append((f"{where}.containers", "FieldValueRequired", "Required value"))
    for index, container in enumerate(spec.get("containers") or []):
        problems += [
            (f"{where}.containers[{index}].{key}", "FieldValueRequired", "Required value")
            for key in ("name", "image")
            if not container.get(key)
        ]
    if problems:
        raise invalid(resource, name, problems)
