"""REST requests: what is sent, what is tried again, what is read."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from core.gcp.connection import Google
from core.gcp.errors import (
    CredentialsError,
    DeniedError,
    ExistsError,
    GoogleError,
    UnavailableError,
)
from tests.core.gcp.scripted import Answer, Scripted, refusal
from tests.core.kube.clocks import Clock
from tests.google.certificates import certificates

PATH = "/compute/v1/projects/p/zones"


async def test_a_request_carries_the_token_the_query_and_the_body(
    google: Google, server: Scripted
) -> None:
    server.answers.append(Answer(body={"name": "x"}))
    query = {"filter": "a=b c", "all": True, "max": 5, "mask": ["x", "y"]}
    answer = await google.call("compute", "POST", PATH, query=query, body={"size": 1})
    assert answer == {"name": "x"}
    (request,) = server.seen
    assert (request.method, request.path) == ("POST", PATH)
    assert request.query == [
        ("filter", "a=b c"),
        ("all", "true"),
        ("max", "5"),
        ("mask", "x"),
        ("mask", "y"),
    ]
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.headers["Content-Type"] == "application/json"
    # A service account's requests count as its own project's.
    assert "X-Goog-User-Project" not in request.headers
    assert request.body == b'{"size": 1}'


async def test_bytes_go_out_and_come_back_as_they_are(google: Google, server: Scripted) -> None:
    server.answers.append(Answer(body="no JSON\r\n"))
    got = await google.fetch(
        "storage",
        "POST",
        "/upload/storage/v1/b/x/o",
        content=b"\x1f\x8b\x00",
        content_type="application/gzip",
        headers={"X-Other": "1"},
    )
    assert got == b"no JSON\r\n"
    (request,) = server.seen
    assert request.body == b"\x1f\x8b\x00"
    assert request.headers["Content-Type"] == "application/gzip"
    assert request.headers["X-Other"] == "1"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_passes_is_tried_again(
    google: Google, server: Scripted, clock: Clock, method: str
) -> None:
    server.answers += [refusal(503), Answer(cut=True), refusal(500), Answer(body={"ok": True})]
    assert await google.call("compute", method, PATH) == {"ok": True}
    assert len(server.seen) == 4
    assert 0.15 <= clock.pauses[0] <= 0.3
    assert clock.pauses[0] < clock.pauses[2] <= 1.2


async def test_patience_has_an_end_and_says_what_was_asked(
    google: Google, server: Scripted, clock: Clock
) -> None:
    server.answers += [refusal(503, "Away.") for _ in range(100)]
    began = clock.now
    with pytest.raises(UnavailableError, match=r"listing zones.*Away"):
        await google.call("compute", "GET", PATH, asked="listing zones", patience_s=30.0)
    assert 20 <= clock.now - began <= 30
    assert max(clock.pauses) <= 8


async def test_a_pause_that_google_asks_for_is_kept(
    google: Google, server: Scripted, clock: Clock
) -> None:
    server.answers.append(Answer(429, "", {"Retry-After": "17"}))
    await google.call("compute", "GET", PATH)
    assert clock.pauses == [17.0]
    # Only for the answer that asked for it.
    server.answers += [Answer(429, "", {"Retry-After": "17"}), refusal(503)]
    await google.call("compute", "GET", PATH)
    assert clock.pauses[1] == 17.0
    assert clock.pauses[2] < 1.0


async def test_a_pause_beyond_the_patience_is_not_waited_for(
    google: Google, server: Scripted, clock: Clock
) -> None:
    server.answers.append(Answer(503, "", {"Retry-After": "90"}))
    with pytest.raises(UnavailableError):
        await google.call("compute", "GET", PATH)
    assert clock.pauses == []


@pytest.mark.parametrize(
    "answer", [Answer(cut=True), refusal(503), refusal(500)], ids=["cut", "503", "500"]
)
async def test_what_may_have_been_carried_out_is_not_tried_again_where_that_would_harm(
    google: Google, server: Scripted, answer: Answer
) -> None:
    server.answers.append(answer)
    with pytest.raises(UnavailableError):
        await google.call("compute", "POST", PATH, retry=False)
    assert len(server.seen) == 1


async def test_what_surely_was_not_carried_out_is_tried_again_all_the_same(
    google: Google, server: Scripted
) -> None:
    server.answers += [refusal(429), Answer(body={"ok": True})]
    assert await google.call("compute", "POST", PATH, retry=False) == {"ok": True}


async def test_a_create_that_was_cut_meets_its_own_first_try(
    google: Google, server: Scripted
) -> None:
    server.answers += [Answer(cut=True), refusal(409, "The resource 'x' already exists")]
    with pytest.raises(ExistsError):
        await google.call("compute", "POST", PATH, body={"name": "x"})


async def test_a_refusal_for_good_is_not_tried_again(google: Google, server: Scripted) -> None:
    server.answers.append(refusal(403, "Required 'compute.zones.list' permission for 'p'"))
    with pytest.raises(DeniedError, match=r"robot@p.* lacks .* compute\.zones\.list") as caught:
        await google.call("compute", "GET", PATH)
    assert len(server.seen) == 1
    assert "serviceAccount:robot@p.iam.gserviceaccount.com" in caught.value.remedy


async def test_an_answer_that_does_not_come_is_given_up(google: Google, server: Scripted) -> None:
    server.answers.append(Answer(hang=True))
    with pytest.raises(UnavailableError, match="took too long"):
        await google.call("compute", "GET", PATH, timeout_s=0.1, patience_s=0.0)


async def test_a_port_where_nobody_is_is_unreachable(
    server: Scripted, tmp_path: Path, clock: Clock
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = {"compute": f"http://127.0.0.1:{taken.getsockname()[1]}"}
        access = server.access(tmp_path, endpoints=nowhere)
        async with Google(access, sleep=clock.sleep, monotonic=clock.monotonic) as google:
            with pytest.raises(UnavailableError, match="gave no answer to listing zones") as caught:
                await google.call("compute", "POST", PATH, asked="listing zones", retry=False)
    # Nobody there, so nothing was carried out.
    assert len(clock.pauses) > 5
    assert "network" in caught.value.remedy


async def test_what_is_on_this_machine_is_not_asked_through_a_proxy(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Google(server.access(tmp_path)) as google:
        await google.token()
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert await google.call("compute", "GET", PATH, patience_s=0.0) == {}


async def test_an_empty_answer_is_an_empty_object(google: Google, server: Scripted) -> None:
    server.answers += [Answer(204, ""), Answer(200, "")]
    assert await google.call("compute", "DELETE", PATH) == {}
    assert await google.call("compute", "POST", PATH) == {}


@pytest.mark.parametrize(
    "body", ["<html>log in to the hotel's network</html>", "", "[]", "[" * 9999]
)
async def test_an_answer_that_is_no_object_is_never_taken_for_an_empty_one(
    google: Google, server: Scripted, body: str
) -> None:
    server.answers.append(Answer(body=body))
    with pytest.raises(GoogleError, match="something else than an object") as caught:
        await google.call("compute", "GET", PATH)
    assert "proxy" in caught.value.remedy


async def test_a_redirection_is_no_answer(google: Google, server: Scripted) -> None:
    server.answers.append(Answer(302, "", {"Location": "https://login.example.net"}))
    with pytest.raises(GoogleError, match="HTTP status 302"):
        await google.call("compute", "DELETE", PATH)


async def test_all_pages_of_a_listing_are_read(google: Google, server: Scripted) -> None:
    server.answers += [
        Answer(body={"items": [{"n": 1}, {"n": 2}], "nextPageToken": "a"}),
        Answer(body={"nextPageToken": "b"}),
        Answer(body={"items": [{"n": 3}]}),
    ]
    found = await google.pages("compute", PATH, "items", query={"filter": "x"})
    assert [item["n"] for item in found] == [1, 2, 3]
    assert [dict(request.query).get("pageToken") for request in server.seen] == [None, "a", "b"]
    assert {dict(request.query)["filter"] for request in server.seen} == {"x"}


async def test_a_listing_that_goes_round_in_a_circle_ends(google: Google, server: Scripted) -> None:
    server.answers += [Answer(body={"nextPageToken": token}) for token in ("a", "b", "a", "b")]
    with pytest.raises(GoogleError, match="circle"):
        await google.pages("compute", PATH, "items")


async def test_a_listing_of_another_shape_is_no_empty_listing(
    google: Google, server: Scripted
) -> None:
    server.answers.append(Answer(body={"items": {"zones/a": {}}}))
    with pytest.raises(GoogleError, match="has no list items"):
        await google.pages("compute", PATH, "items")


async def test_a_token_that_was_revoked_is_renewed_once(google: Google, server: Scripted) -> None:
    server.answers += [refusal(401), Answer(body={"ok": True})]
    assert await google.call("compute", "POST", PATH, retry=False) == {"ok": True}
    tokens = [request.headers["Authorization"] for request in server.seen]
    assert tokens == ["Bearer token-1", "Bearer token-2"]


async def test_credentials_that_are_not_taken_twice_are_refused(
    google: Google, server: Scripted
) -> None:
    server.answers += [refusal(401), refusal(401), Answer()]
    with pytest.raises(CredentialsError, match="does not take the credentials"):
        await google.call("compute", "GET", PATH)
    assert len(server.seen) == 2


async def test_many_that_meet_the_same_refusal_renew_the_token_once(
    google: Google, server: Scripted
) -> None:
    await google.token()
    server.answers += [refusal(401) for _ in range(8)]
    await asyncio.gather(*(google.call("compute", "GET", PATH) for _ in range(8)))
    assert server.tokens_given == 2


async def test_nothing_secret_is_in_what_a_failure_shows(google: Google, server: Scripted) -> None:
    server.answers.append(refusal(400, "Bad header: Authorization: Bearer token-1"))
    with pytest.raises(GoogleError) as caught:
        await google.call("compute", "GET", PATH)
    assert "token-1" not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert "token-1" not in repr(vars(google))


async def test_somebody_elses_certificate_is_told_at_once(
    server: Scripted, tmp_path: Path, clock: Clock
) -> None:
    listening = await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=certificates().context
    )
    async with listening:
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        access = server.access(tmp_path, endpoints={"compute": url, "container": url})
        async with Google(access, sleep=clock.sleep, monotonic=clock.monotonic) as google:
            with pytest.raises(UnavailableError) as by_rest:
                await google.call("compute", "GET", PATH)
            with pytest.raises(UnavailableError) as by_grpc:
                await google.cluster_call("list_clusters", {"parent": "projects/p/locations/-"})
    assert "SSL_CERT_FILE" in by_rest.value.remedy
    assert "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" in by_grpc.value.remedy
    assert clock.pauses == []
