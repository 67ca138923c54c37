"""``google.container.v1.ClusterManager`` over gRPC, with the package's own messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.cloud.container_v1 import types
from google.protobuf import empty_pb2

from tests.google.clusters import VERSION, Gke, fingerprint
from tests.google.doings import Doings
from tests.google.faults import CutError
from tests.google.operations import Kind, Work
from tests.google.refusals import Refusal, not_found

Serve = Callable[[str, str, Any, str, Callable[[], Any]], Awaitable[Any]]
"""Name of the call, resource, request, ``Authorization``, and what answers it."""
_SERVICE = "google.container.v1.ClusterManager"


class ContainerService:
    """The methods, by name."""

    def __init__(self, gke: Gke, serve: Serve, cut: Callable[[str], None]) -> None:
        """``cut``: breaks the connection of a peer."""
        self._gke = gke
        self._cut = cut
        self._serve = serve
        self._doings = Doings(gke)

    def handler(self) -> Any:
        """What a gRPC server takes."""
        methods: dict[str, tuple[Any, Any, Callable[[Any], Any]]] = {
            "ListClusters": (types.ListClustersRequest, types.ListClustersResponse, self._list),
            "GetCluster": (types.GetClusterRequest, types.Cluster, self._get),
            "CreateCluster": (types.CreateClusterRequest, types.Operation, self._create),
            "UpdateCluster": (types.UpdateClusterRequest, types.Operation, self._update),
            "SetLabels": (types.SetLabelsRequest, types.Operation, self._set_labels),
            "DeleteCluster": (types.DeleteClusterRequest, types.Operation, self._delete),
            "ListNodePools": (
                *(types.ListNodePoolsRequest, types.ListNodePoolsResponse, self._list_pools),
            ),
            "GetNodePool": (types.GetNodePoolRequest, types.NodePool, self._get_pool),
            "CreateNodePool": (types.CreateNodePoolRequest, types.Operation, self._create_pool),
            "DeleteNodePool": (types.DeleteNodePoolRequest, types.Operation, self._delete_pool),
            "SetNodePoolSize": (types.SetNodePoolSizeRequest, types.Operation, self._resize),
            "SetNodePoolAutoscaling": (
                *(types.SetNodePoolAutoscalingRequest, types.Operation, self._autoscale),
            ),
            "GetOperation": (types.GetOperationRequest, types.Operation, self._operation),
            "ListOperations": (
                *(types.ListOperationsRequest, types.ListOperationsResponse, self._operations),
            ),
            "CancelOperation": (types.CancelOperationRequest, None, self._cancel),
            "GetServerConfig": (types.GetServerConfigRequest, types.ServerConfig, self._config),
        }
        return grpc.method_handlers_generic_handler(
            _SERVICE, {name: self._method(name, *parts) for name, parts in methods.items()}
        )

    def _method(self, name: str, request: Any, response: Any, act: Callable[[Any], Any]) -> Any:
        async def answer(asked: Any, context: Any) -> Any:
            sent = dict(context.invocation_metadata() or ())
            about = str(getattr(asked, "name", "") or getattr(asked, "parent", ""))
            try:
                return await self._serve(
                    *(f"container.{name}", about, asked, str(sent.get("authorization", ""))),
                    lambda: act(asked),
                )
            except Refusal as refusal:
                await context.abort(
                    getattr(grpc.StatusCode, refusal.status),
                    refusal.message,
                    refusal.as_grpc_metadata(),
                )
            except CutError:
                self._cut(context.peer())
                # Nobody hears it any more.
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut as the test wants it")

        serialize = (
            empty_pb2.Empty.SerializeToString
            if response is None
            else lambda message: response.serialize(message)
        )
        return grpc.unary_unary_rpc_method_handler(
            answer, request_deserializer=request.deserialize, response_serializer=serialize
        )

    def _list(self, request: Any) -> Any:
        location = self._location(request.parent)
        found = [
            self._gke.told(cluster)
            for (where, _), cluster in sorted(self._gke.clusters.items())
            if location in ("-", where)
        ]
        missing = [zone for zone in sorted(self._gke.unlisted) if location in ("-", zone)]
        found = [each for each in found if each.location not in missing]
        return types.ListClustersResponse(clusters=found, missing_zones=missing)

    def _get(self, request: Any) -> Any:
        return self._gke.told(self._gke.find(*self._parts(request.name, 2)))

    def _create(self, request: Any) -> Any:
        location = self._location(request.parent)
        return self._told(self._doings.create_cluster(location, request.cluster))

    def _update(self, request: Any) -> Any:
        cluster = self._gke.find(*self._parts(request.name, 2))
        return self._told(self._doings.change(cluster, Kind.UPDATE_CLUSTER))

    def _set_labels(self, request: Any) -> Any:
        cluster = self._gke.find(*self._parts(request.name, 2))
        self._gke.admit_labels(request.resource_labels)
        if request.label_fingerprint != fingerprint(cluster):
            raise Refusal("INVALID_ARGUMENT", "Labels could not be set: fingerprint mismatch.")
        work = self._doings.change(cluster, Kind.SET_LABELS)
        cluster.message.resource_labels = dict(request.resource_labels)
        cluster.billed.labels = dict(request.resource_labels)
        return self._told(work)

    def _delete(self, request: Any) -> Any:
        return self._told(self._doings.delete_cluster(*self._parts(request.name, 2)))

    def _list_pools(self, request: Any) -> Any:
        cluster = self._gke.find(*self._parts(request.parent, 2))
        pools = [self._gke.told_pool(pool) for pool in cluster.pools.values()]
        return types.ListNodePoolsResponse(node_pools=pools)

    def _get_pool(self, request: Any) -> Any:
        return self._gke.told_pool(self._gke.find_pool(*self._parts(request.name, 3)))

    def _create_pool(self, request: Any) -> Any:
        location, name = self._parts(request.parent, 2)
        return self._told(self._doings.create_pool(location, name, request.node_pool))

    def _delete_pool(self, request: Any) -> Any:
        return self._told(self._doings.delete_pool(*self._parts(request.name, 3)))

    def _resize(self, request: Any) -> Any:
        location, name, pool = self._parts(request.name, 3)
        return self._told(self._doings.resize_pool(location, name, pool, request.node_count))

    def _autoscale(self, request: Any) -> Any:
        location, name, pool_name = self._parts(request.name, 3)
        pool = self._gke.find_pool(location, name, pool_name)
        cluster = self._gke.find(location, name)
        work = self._doings.change(cluster, Kind.UPDATE_CLUSTER, pool_name)
        pool.message.autoscaling = request.autoscaling
        return self._told(work)

    def _operation(self, request: Any) -> Any:
        location, name = self._parts(request.name, 2)
        work = self._gke.operations.get(name)
        if work is None or work.location != location:
            raise not_found(f"projects/{self._gke.project}/locations/{location}/operations/{name}")
        return self._told(work)

    def _operations(self, request: Any) -> Any:
        location = self._location(request.parent)
        found = [
            self._told(work)
            for work in self._gke.operations.values()
            if location in ("-", work.location)
        ]
        return types.ListOperationsResponse(operations=found)

    def _cancel(self, request: Any) -> Any:
        self._doings.cancel(self._parts(request.name, 2)[1])
        return empty_pb2.Empty()

    def _config(self, request: Any) -> Any:
        self._location(request.name)
        return types.ServerConfig(
            default_cluster_version=VERSION,
            valid_master_versions=[VERSION],
            valid_node_versions=[VERSION],
            default_image_type="COS_CONTAINERD",
            valid_image_types=["COS_CONTAINERD", "UBUNTU_CONTAINERD"],
            channels=[
                {"channel": channel, "default_version": VERSION, "valid_versions": [VERSION]}
                for channel in (1, 2, 3)
            ],
        )

    def _told(self, work: Work) -> Any:
        return work.message(self._gke.clock.now())

    def _location(self, path: str) -> str:
        return self._parts(path, 1)[0]

    def _parts(self, path: str, count: int) -> list[str]:
        """Take ``projects/P/locations/L/…`` apart, the project checked.

        Raises: Refusal.
        """
        words = path.split("/")
        if len(words) != 2 * (count + 1) or words[0] != "projects" or words[2] != "locations":
            raise Refusal("INVALID_ARGUMENT", f'Name "{path}" is not valid.')
        if words[1] != self._gke.project:
            text = f'Project "{words[1]}" was not found or you do not have access to it.'
            raise Refusal("PERMISSION_DENIED", text)
        return words[3::2]
