"""An API server in this process: real protocol, real client, no cluster.

What it does is checked against a real server by test_contract.py. Pods do nothing by themselves:
the test moves them (see :class:`Pod`).
"""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from aiohttp import web

from core.kube.cluster import Access
from tests.core.kube.stand_in_access import (
    ADMIN,
    VIEWER,
    Account,
    Target,
    authorize,
    may_view,
    reviewed,
    target_of,
)
from tests.core.kube.stand_in_controllers import Controllers, label_job, prepare_job, prepare_pod
from tests.core.kube.stand_in_pods import Pod
from tests.core.kube.stand_in_store import (
    JOBS,
    PODS,
    RESOURCES,
    Object,
    Refused,
    Resource,
    Selection,
    Store,
    merged,
)
from tests.core.kube.stand_in_streams import Cut, Streams, serve_exec, serve_log, serve_watch

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass
class Fault:
    """What the next requests meet."""

    method: str
    path: str
    times: int
    status: int = 0
    retry_after: str = ""
    drop: bool = False
    after: bool = False
    until: asyncio.Event | None = None


@dataclass(frozen=True)
class Asked:
    """A request that arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Object


class StandIn:
    """The server; an async context manager."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.store = Store()
        self.controllers = Controllers(self.store, now_ns)
        self.streams = Streams(self.store)
        self.accounts = {
            ADMIN: Account("admin", lambda _: True),
            VIEWER: Account("viewer", may_view),
        }
        self.asked: list[Asked] = []
        """Every request that arrived, refused ones too."""
        self.version = {"major": "1", "minor": "20", "gitVersion": "v1.20.2"}
        self.date = ""
        """Instead of the right ``Date`` header."""
        self.url = ""
        self._faults: list[Fault] = []
        for name in ("default", "kube-system"):
            self.put(RESOURCES["", "namespaces"], {"metadata": {"name": name}})

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", self._serve)
        # No waiting for open streams at the end.
        self._runner = web.AppRunner(
            application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.streams.cut()
        await self._runner.cleanup()

    def access(self, folder: Path, token: str = ADMIN, namespace: str = "default") -> Access:
        """Write a kubeconfig and say how to get in with it."""
        return Access(str(self.kubeconfig(folder / "kubeconfig", token)), "stand-in", namespace)

    def kubeconfig(self, path: Path, token: str = ADMIN) -> Path:
        document = {
            **{"apiVersion": "v1", "kind": "Config", "current-context": "stand-in"},
            "clusters": [{"name": "stand-in", "cluster": {"server": self.url}}],
            "users": [{"name": "somebody", "user": {"token": token}}],
            "contexts": [
                {"name": "stand-in", "context": {"cluster": "stand-in", "user": "somebody"}}
            ],
        }
        # YAML reads JSON.
        path.write_text(json.dumps(document))
        return path

    def put(self, resource: Resource, document: Object, namespace: str = "") -> Object:
        """Create an object as somebody else would: a node, a namespace, a pod of a daemon."""
        created = self.store.create(
            resource, namespace, copy.deepcopy(document), self.controllers.now_ns() / 1e9
        )
        self.controllers.created(resource, created)
        return created

    def add_node(self, name: str = "gpu-node-1", *, gpus: int = 0, **fields: Any) -> Object:
        """``fields``: more of ``spec``, such as taints."""
        amounts = {"cpu": "4", "memory": "16Gi", "pods": "110"}
        if gpus:
            amounts["nvidia.com/gpu"] = str(gpus)
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        return self.put(
            RESOURCES["", "nodes"],
            {
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                "spec": fields,
                "status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]},
            },
        )

    def change(
        self, kind: str, name: str, patch: Object, *, group: str = "", namespace: str = ""
    ) -> Object:
        """Merge a patch into an object: ``change("nodes", "gpu-node-1", {"status": …})``."""
        return self.store.update(RESOURCES[group, kind], namespace, name, patch)

    def pod(self, name: str, namespace: str = "default") -> Pod:
        return self.controllers.pods[namespace, name]

    def pod_of(self, job: str, namespace: str = "default") -> Pod:
        """The newest pod of a Job."""
        owner = self.store.get(JOBS, namespace, job)["metadata"]["uid"]
        owned = self.controllers.pods_of(owner)
        newest = max(owned, key=lambda pod: int(pod["metadata"]["resourceVersion"]))
        return self.pod(newest["metadata"]["name"], namespace)

    def fail(
        self,
        status: int = 0,
        *,
        method: str = "",
        path: str = "",
        times: int = 1,
        retry_after: str = "",
        drop: bool = False,
        after: bool = False,
        until: asyncio.Event | None = None,
    ) -> None:
        """Let the next ``times`` requests (of this method, whose path has this in it) be answered
        with ``status``, or be dropped (``after``: once they are done), or wait until an event
        before they are served."""
        self._faults.append(Fault(method, path, times, status, retry_after, drop, after, until))

    def cut_after(self, size: int, *, path: str = "", times: int = 1) -> None:
        """Break each of the next ``times`` streams after ``size`` bytes of body."""
        self.streams.cuts.append(Cut(path, size, times))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            body = None
        self.asked.append(Asked(request.method, request.path, dict(request.query), body or {}))
        try:
            drop_after = await self._meet_fault(request)
            account = self._account(request)
            if body is None:
                said = "the object provided is unrecognized: couldn't get version/kind"
                raise Refused(400, "BadRequest", said)
            answer = await self._answer(request, account, body)
            if drop_after:
                _drop(request)
        except Refused as refused:
            answer = web.json_response(refused.status, status=refused.code, headers=refused.headers)
        if self.date and not answer.prepared:
            answer.headers["Date"] = self.date
        return answer

    async def _meet_fault(self, request: web.Request) -> bool:
        """Return whether to drop the connection once the request is done."""
        for fault in self._faults:
            if fault.method in ("", request.method) and fault.path in request.path:
                break
        else:
            return False
        fault.times -= 1
        if not fault.times:
            self._faults.remove(fault)
        if fault.until is not None:
            await fault.until.wait()
        if fault.drop and not fault.after:
            _drop(request)
        if fault.status:
            reasons = {401: "Unauthorized", 403: "Forbidden", 429: "TooManyRequests"}
            raise Refused(
                fault.status,
                reasons.get(fault.status, "InternalError"),
                f"answered {fault.status} as the test wants it",
                headers={"Retry-After": fault.retry_after} if fault.retry_after else {},
            )
        return fault.drop

    def _account(self, request: web.Request) -> Account:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.accounts:
            raise Refused(401, "Unauthorized", "Unauthorized")
        return self.accounts[token]

    async def _answer(
        self, request: web.Request, account: Account, body: Object
    ) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response(self.version)
        if request.path == _REVIEWS and request.method == "POST":
            return web.json_response(reviewed(account, body), status=201)
        target = target_of(request.path)
        if target is None:
            return web.Response(status=404, text="404 page not found\n")
        authorize(account, request, target)
        if target.part in ("log", "exec"):
            self.store.get(PODS, target.namespace, target.name)
            pod = self.pod(target.name, target.namespace)
            serve = serve_log if target.part == "log" else serve_exec
            return await serve(request, self.streams, pod)
        query = request.query
        selection = Selection(
            *(target.resource, target.namespace),
            query.get("labelSelector", ""),
            query.get("fieldSelector", ""),
        )
        if request.method == "GET" and query.get("watch") in ("true", "1"):
            return await serve_watch(request, self.streams, self.store, target.resource, selection)
        status, document = self._act(request, target, selection, body)
        return web.json_response(document, status=status)

    def _act(
        self, request: web.Request, target: Target, selection: Selection, body: Object
    ) -> tuple[int, Object]:
        resource, namespace, name = target.resource, target.namespace, target.name
        dry_run = request.query.get("dryRun") == "All"
        match request.method, bool(name):
            case "GET", True:
                return 200, self.store.get(resource, namespace, name)
            case "GET", False:
                return 200, self._listed(resource, namespace, selection)
            case "POST", False:
                return 201, self._create(resource, namespace, body, dry_run)
            case "PATCH", True:
                if "merge-patch+json" not in request.content_type:
                    raise Refused(415, "UnsupportedMediaType", "the stand-in takes merge patches")
                before = self.store.get(resource, namespace, name)
                return 200, self.store.replace(resource, _patched(before, body, target.part))
            case "PUT", True:
                return 200, self.store.replace(resource, body)
            case "DELETE", True:
                document = self.store.get(resource, namespace, name)
                return 200, self._delete(resource, document, {**request.query, **body}, dry_run)
            case "DELETE", False:
                answer = self._listed(resource, namespace, selection)
                for document in answer["items"]:
                    self._delete(resource, document, {**request.query, **body}, dry_run)
                return 200, answer
        text = "the server does not allow this method on the requested resource"
        raise Refused(405, "MethodNotAllowed", text)

    def _listed(self, resource: Resource, namespace: str, selection: Selection) -> Object:
        items = [each for each in self.store.list(resource, namespace) if each in selection]
        for each in items:
            assert each["kind"] == resource.kind
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self.store.version)},
            # In a list the items do not say what they are.
            "items": [
                {key: each[key] for key in each if key not in ("kind", "apiVersion")}
                for each in items
            ],
        }

    def _create(self, resource: Resource, namespace: str, body: Object, dry_run: bool) -> Object:
        if body.get("kind") != resource.kind or body.get("apiVersion") != resource.api_version:
            said = f'{body.get("kind")} in version "{body.get("apiVersion")}" cannot be handled'
            raise Refused(400, "BadRequest", f"{said} as a {resource.kind}")
        if resource is PODS:
            prepare_pod(body)
        elif resource is JOBS:
            prepare_job(body)
        created = self.store.create(
            *(resource, namespace, body, self.controllers.now_ns() / 1e9),
            complete=label_job if resource is JOBS else lambda _: None,
            dry_run=dry_run,
        )
        if not dry_run:
            self.controllers.created(resource, created)
        return created

    def _delete(
        self, resource: Resource, document: Object, options: Mapping[str, Any], dry_run: bool
    ) -> Object:
        metadata = document["metadata"]
        name, uid = metadata["name"], metadata["uid"]
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted and wanted != uid:
            raise Refused(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {resource.kind_and_group} "{name}": the UID in '
                f"the precondition ({wanted}) does not match the UID in record ({uid}). The object "
                "might have been deleted and then recreated",
                resource.details(name, kind=True),
            )
        details = {**resource.details(name), "uid": uid}
        success = {
            **{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"},
            "details": details,
        }
        if dry_run:
            return success
        policy = str(options.get("propagationPolicy") or "")
        if resource is PODS:
            grace = options.get("gracePeriodSeconds")
            return self.controllers.delete_pod(document, None if grace is None else int(grace))
        if resource is JOBS:
            after = self.controllers.delete_job(document, policy or "Orphan")
            return after if policy == "Foreground" else success
        if resource.plural == "namespaces":
            self.controllers.delete_namespace(name)
            return document
        self.store.remove(resource, metadata.get("namespace", ""), name)
        return success


def _drop(request: web.Request) -> NoReturn:
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError("dropped as the test wants it")


def _patched(before: Object, patch: Object, part: str) -> Object:
    """A patch of ``status`` changes nothing else, and one of the object everything else."""
    kept = {"status": patch.get("status", {})} if part == "status" else {**patch}
    if part != "status":
        kept.pop("status", None)
    changed: Object = merged(before, kept)
    return changed
