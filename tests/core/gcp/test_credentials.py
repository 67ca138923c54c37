"""Where tokens come from, how long they are used, and what is said when there are none."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from core.gcp.access import GoogleAccess, endpoints_of
from core.gcp.connection import Google
from core.gcp.credentials import Tokens
from core.gcp.errors import ApiDisabledError, CredentialsError, UnavailableError
from tests.core.gcp.scripted import Answer, Scripted, service_account
from tests.core.kube.clocks import Clock
from tests.google.world import GoogleWorld


@pytest.fixture
def _nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials are found anywhere, and this is no machine of Google's."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


async def test_a_token_is_used_until_five_minutes_before_its_end(
    google: Google, server: Scripted, clock: Clock
) -> None:
    assert await google.token() == "token-1"
    assert google.account == "robot@p.iam.gserviceaccount.com"
    clock.now += 3600 - 300 - 10
    assert await google.token() == "token-1"
    clock.now += 20
    assert await google.token() == "token-2"
    assert server.tokens_given == 2


async def test_a_token_that_hardly_lasts_is_used_all_the_same(
    google: Google, server: Scripted, clock: Clock
) -> None:
    server.token_lasts_s = 100
    assert [await google.token() for _ in range(3)] == ["token-1"] * 3
    clock.now += 60
    assert await google.token() == "token-2"


async def test_many_who_need_a_token_fetch_one(google: Google, server: Scripted) -> None:
    tokens = await asyncio.gather(*(google.token() for _ in range(20)))
    assert {*tokens} == {"token-1"}
    assert server.tokens_given == 1


async def test_who_stops_waiting_does_not_take_the_token_from_the_others(
    google: Google, server: Scripted
) -> None:
    impatient = asyncio.create_task(google.token())
    patient = asyncio.create_task(google.token())
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "token-1"
    assert server.tokens_given == 1


async def test_a_connection_that_closes_waits_for_no_token(
    server: Scripted, tmp_path: Path
) -> None:
    async with Google(server.access(tmp_path)) as google:
        asking = asyncio.create_task(google.token())
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_who_is_refused_late_takes_the_token_that_is_there_by_then(
    server: Scripted, tmp_path: Path, clock: Clock
) -> None:
    tokens = Tokens(server.access(tmp_path), clock.monotonic)
    refused = await tokens.token()
    assert await tokens.renew(refused) == "token-2"
    assert await tokens.renew(refused) == "token-2"
    assert server.tokens_given == 2


async def test_another_token_is_fetched_when_asked_for(google: Google) -> None:
    assert await google.token() == "token-1"
    assert await google.token(force=True) == "token-2"
    assert await google.token() == "token-2"


async def test_a_good_token_outlives_a_token_endpoint_that_is_away(
    server: Scripted, tmp_path: Path, clock: Clock
) -> None:
    access = server.access(tmp_path)
    async with Google(access, sleep=clock.sleep, monotonic=clock.monotonic) as google:
        assert await google.token() == "token-1"
        await server.__aexit__(None, None, None)
        clock.now += 3600 - 200
        assert await google.token() == "token-1"
        clock.now += 300
        with pytest.raises(UnavailableError, match="no access token"):
            await google.token()
    assert len(clock.pauses) > 5


async def test_an_account_that_google_refuses_is_told_without_patience(
    google: Google, server: Scripted, clock: Clock
) -> None:
    body = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    server.refuse_tokens = Answer(400, body)
    with pytest.raises(CredentialsError, match="Invalid JWT Signature") as caught:
        await google.token()
    assert clock.pauses == []
    assert "gcloud auth application-default login" in caught.value.remedy
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.remedy


async def test_a_refusal_that_is_none_of_oauths_is_told_in_its_own_words(
    google: Google, server: Scripted
) -> None:
    body = {"error": {"code": 403, "message": "The caller does not have permission"}}
    server.refuse_tokens = Answer(403, body)
    with pytest.raises(CredentialsError, match="credentials: The caller does not have permission"):
        await google.token()


@pytest.mark.usefixtures("_nobody_logged_in")
async def test_who_is_not_logged_in_is_told_what_to_run() -> None:
    async with Google(GoogleAccess("p")) as google:
        with pytest.raises(CredentialsError, match="No credentials") as caught:
            await google.token()
        assert google.account == "the account in use"
    assert "gcloud auth application-default login" in caught.value.remedy


@pytest.mark.usefixtures("_nobody_logged_in")
async def test_application_default_credentials_are_found_as_google_finds_them(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = server.access(tmp_path).credentials_file
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", named)
    async with Google(GoogleAccess("p")) as google:
        assert await google.token() == "token-1"


async def test_a_service_account_is_impersonated(server: Scripted, tmp_path: Path) -> None:
    acting = "deployer@p.iam.gserviceaccount.com"
    async with Google(server.access(tmp_path, impersonate=acting)) as google:
        await google.call("compute", "GET", "/compute/v1/projects/p")
        assert google.account == acting
    assert server.impersonated == ["Bearer token-1"]
    assert server.seen[0].headers["Authorization"] == "Bearer acting-token"


def acting_as(world: GoogleWorld, account: str) -> GoogleAccess:
    endpoints = endpoints_of(world.environment())
    return GoogleAccess(world.project.name, str(world.credentials_file), account, endpoints)


async def test_an_account_that_may_not_be_impersonated_is_told_with_the_role(
    world: GoogleWorld,
) -> None:
    other = "other@p.iam.gserviceaccount.com"
    async with Google(acting_as(world, other)) as google:
        with pytest.raises(CredentialsError, match=f"may not act as {other}") as caught:
            await google.token()
    assert "roles/iam.serviceAccountTokenCreator" in caught.value.remedy


async def test_impersonation_needs_an_api_that_is_named(world: GoogleWorld) -> None:
    world.project.services.discard("iamcredentials.googleapis.com")
    async with Google(acting_as(world, world.tokens.account)) as google:
        with pytest.raises(ApiDisabledError) as caught:
            await google.token()
    assert "gcloud services enable iamcredentials.googleapis.com" in caught.value.remedy


async def test_impersonation_outlives_a_service_that_is_away(
    world: GoogleWorld, clock: Clock
) -> None:
    fault = world.faults.add("iamcredentials.generateAccessToken", "internal", times=2)
    access = acting_as(world, world.tokens.account)
    async with Google(access, sleep=clock.sleep, monotonic=clock.monotonic) as google:
        assert await google.token()
    assert fault.met == 2


@pytest.mark.parametrize(("in_file", "counted"), [("", "p"), ("other", "other")])
async def test_a_persons_requests_count_as_the_projects(
    server: Scripted, tmp_path: Path, in_file: str, counted: str
) -> None:
    file = tmp_path / "person.json"
    document = {
        "type": "external_account_authorized_user",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/w/providers/q",
        "client_id": "c",
        "client_secret": "s",
        "refresh_token": "r",
        "token_url": f"{server.url}/token",
        "token_info_url": f"{server.url}/info",
        **({"quota_project_id": in_file} if in_file else {}),
    }
    file.write_text(json.dumps(document))
    async with Google(server.access(tmp_path, credentials_file=str(file))) as google:
        await google.call("compute", "GET", "/compute/v1/projects/p")
    assert server.seen[0].headers["X-Goog-User-Project"] == counted


def broken_key(token_uri: str) -> dict[str, str]:
    whole = service_account(token_uri)
    return {**whole, "private_key": whole["private_key"][:200]}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no JSON: SECRET",
        "[]",
        '{"type": "SECRET"}',
        '{"type": "service_account", "private_key": "SECRET"}',
        '{"type": "authorized_user", "refresh_token": "SECRET"}',
        '{"type": "external_account", "audience": "SECRET"}',
        json.dumps({**service_account("x"), "private_key": "SECRET"}),
        json.dumps(broken_key("x")),
        b"\xff\xfe\x00",
    ],
    # A key is another one each time, and workers must agree on the names.
    ids=range(10),
)
@pytest.mark.parametrize("by_variable", [False, True])
async def test_a_file_without_good_credentials_is_told_and_its_secrets_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, by_variable: bool
) -> None:
    file = tmp_path / "account.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    if by_variable:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    access = GoogleAccess("p", credentials_file="" if by_variable else str(file))
    async with Google(access) as google:
        with pytest.raises(CredentialsError, match=r"account\.json") as caught:
            await google.token()
    assert "SECRET" not in chain(caught.value)
    assert "BEGIN" not in chain(caught.value)


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with Google(GoogleAccess("p", credentials_file=str(tmp_path / "gone"))) as google:
        with pytest.raises(CredentialsError, match="gone cannot be read: No such file"):
            await google.token()


def chain(error: BaseException | None) -> str:
    """What a traceback would show of an error and its causes."""
    shown: list[Any] = []
    while error is not None:
        shown.append(repr(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(shown)
