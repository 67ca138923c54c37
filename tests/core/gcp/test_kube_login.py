"""The login at a cluster's API server, through the Kubernetes client itself."""

from __future__ import annotations

import ssl

import pytest
from kubernetes.aio.client import ApiClient, Configuration, CoreV1Api

from core.gcp.clusters import Clusters, Endpoint, endpoint_of
from core.gcp.connection import Google
from core.gcp.errors import CredentialsError
from core.gcp.kube_login import login_for
from tests.core.gcp.asked_for import SPEC
from tests.google.world import GoogleWorld


@pytest.fixture
async def endpoint(cloud: Google) -> Endpoint:
    """Of a cluster that runs."""
    clusters = Clusters(cloud)
    async for _ in clusters.follow(SPEC.location, await clusters.create(SPEC)):
        pass
    found = await clusters.get(SPEC.location, SPEC.name)
    assert found is not None
    return endpoint_of(found)


async def nodes(api: ApiClient) -> list[str]:
    """The names of the nodes, read as plain JSON as core.kube does."""
    answer = await CoreV1Api(api).list_node_without_preload_content()
    assert answer.status == 200, await answer.text()
    return [node["metadata"]["name"] for node in (await answer.json())["items"]]


async def test_nodes_are_listed_with_googles_token_over_the_clusters_own_authority(
    cloud: Google, endpoint: Endpoint
) -> None:
    configuration = Configuration(host="")
    await login_for(cloud, endpoint)(configuration)
    assert configuration.host == endpoint.host_url
    async with ApiClient(configuration=configuration) as api:
        assert len(await nodes(api)) == 1


async def test_a_token_is_renewed_before_it_ends_while_the_client_lives(
    world: GoogleWorld, cloud: Google, endpoint: Endpoint
) -> None:
    configuration = Configuration(host="")
    await login_for(cloud, endpoint)(configuration)
    first = dict(configuration.api_key)
    async with ApiClient(configuration=configuration) as api:
        await world.clock.advance(3600)
        # Nobody may come in with the old one any more.
        world.tokens.granted = {}
        assert await nodes(api)
    assert configuration.api_key != first


async def test_a_login_after_a_refusal_fetches_another_token(
    world: GoogleWorld, cloud: Google, endpoint: Endpoint
) -> None:
    configuration = Configuration(host="")
    log_in = login_for(cloud, endpoint)
    await log_in(configuration)
    world.tokens.expire()
    await log_in(configuration)
    async with ApiClient(configuration=configuration) as api:
        assert await nodes(api)


async def test_a_token_that_cannot_be_renewed_leaves_the_old_one_in_use(
    world: GoogleWorld, cloud: Google, endpoint: Endpoint
) -> None:
    configuration = Configuration(host="")
    await login_for(cloud, endpoint)(configuration)
    world.tokens.refuse = "invalid_grant"
    async with ApiClient(configuration=configuration) as api:
        await world.clock.advance(3590)
        assert await nodes(api)


async def test_a_login_without_credentials_is_told(
    world: GoogleWorld, cloud: Google, endpoint: Endpoint
) -> None:
    await world.clock.advance(3600)
    world.tokens.refuse = "invalid_grant"
    with pytest.raises(CredentialsError):
        await login_for(cloud, endpoint)(Configuration(host=""))


async def test_a_dns_endpoint_is_believed_by_the_public_authorities_alone(
    cloud: Google, endpoint: Endpoint
) -> None:
    configuration = Configuration(host="")
    await login_for(cloud, Endpoint(endpoint.host_url, None))(configuration)
    async with ApiClient(configuration=configuration) as api:
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED") as caught:
            await nodes(api)
    assert isinstance(caught.value.__cause__ or caught.value, ssl.SSLError | OSError)
