"""Where a registry's login comes from, and that it stays there."""

from __future__ import annotations

import base64
import json
import traceback
from pathlib import Path

import pytest

from core.image.credentials import TOKEN_VARIABLE, CredentialSource, Login
from core.image.errors import CredentialsError

SECRET = "hunter2:with/colon"
GOOGLE = "europe-docker.pkg.dev"


def source(folder: Path, **environment: str) -> CredentialSource:
    return CredentialSource(
        {"DOCKER_CONFIG": str(folder), "PATH": str(folder / "bin"), **environment}
    )


def configure(folder: Path, config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def helper(folder: Path, name: str, script: str) -> None:
    """A credential helper that notes what it was asked, and how it was started."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / f"docker-credential-{name}"
    program.write_text(
        "#!/bin/sh\n"
        f'read -r server\necho "$server" >> "{folder}/asked"\n'
        f'echo "$@" >> "{folder}/arguments"\n{script}\n'
    )
    program.chmod(0o755)


def answer(user: str, secret: str) -> str:
    return f"echo '{json.dumps({'ServerURL': 'x', 'Username': user, 'Secret': secret})}'"


async def test_without_any_config_one_stays_anonymous(tmp_path: Path) -> None:
    assert await source(tmp_path).login("host.example") is None


@pytest.mark.parametrize(
    "key", ["host.example:5000", "https://host.example:5000", "http://host.example:5000/v2/"]
)
async def test_docker_login_is_found_however_it_wrote_the_server(tmp_path: Path, key: str) -> None:
    configure(tmp_path, {"auths": {key: {"auth": encoded("me", SECRET)}}})
    assert await source(tmp_path).login("host.example:5000") == Login("me", SECRET)
    assert await source(tmp_path).login("host.example") is None


async def test_docker_hubs_login_has_its_old_name(tmp_path: Path) -> None:
    auths = {"https://index.docker.io/v1/": {"auth": encoded("me", SECRET)}}
    configure(tmp_path, {"auths": auths})
    assert await source(tmp_path).login("docker.io") == Login("me", SECRET)


async def test_an_identity_token_is_kept_apart(tmp_path: Path) -> None:
    configure(tmp_path, {"auths": {"a.example": {"auth": "", "identitytoken": SECRET}}})
    found = await source(tmp_path).login("a.example")
    assert found is not None
    assert found.identity_token == SECRET
    assert found.for_engine("a.example") == {
        "identitytoken": SECRET,
        "serveraddress": "a.example",
    }


async def test_the_home_folders_config_is_the_default(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    configure(tmp_path / ".docker", {"auths": {"a.example": {"auth": encoded("me", SECRET)}}})
    found = await CredentialSource({"HOME": str(tmp_path)}).login("a.example")
    assert found == Login("me", SECRET)


async def test_a_helper_of_one_registry_is_asked_on_stdin(tmp_path: Path) -> None:
    helper(tmp_path, "mine", answer("me", SECRET))
    configure(tmp_path, {"credHelpers": {"a.example": "mine"}})
    assert await source(tmp_path).login("a.example") == Login("me", SECRET)
    assert await source(tmp_path).login("b.example") is None
    assert (tmp_path / "asked").read_text() == "a.example\n"
    assert (tmp_path / "arguments").read_text() == "get\n"


async def test_the_store_is_asked_where_no_helper_is_named(tmp_path: Path) -> None:
    helper(tmp_path, "store", answer("<token>", SECRET))
    configure(tmp_path, {"credsStore": "store", "credHelpers": {"other.example": "none"}})
    found = await source(tmp_path).login("docker.io")
    assert found is not None
    assert found.identity_token == SECRET
    assert (tmp_path / "asked").read_text() == "https://index.docker.io/v1/\n"


async def test_a_registry_that_the_helper_does_not_know_is_anonymous(tmp_path: Path) -> None:
    helper(tmp_path, "store", "echo 'credentials not found in native keychain'; exit 1")
    configure(tmp_path, {"credsStore": "store", "auths": {"a.example": {}}})
    assert await source(tmp_path).login("a.example") is None


async def test_flags_go_to_their_registry_only(tmp_path: Path) -> None:
    flags = {"a.example": Login("me", SECRET)}
    given = CredentialSource({"DOCKER_CONFIG": str(tmp_path)}, flags)
    assert await given.login("a.example") == Login("me", SECRET)
    assert await given.login("b.example") is None


@pytest.mark.parametrize("domain", [GOOGLE, "gcr.io", "eu.gcr.io"])
async def test_googles_registries_take_the_access_token(tmp_path: Path, domain: str) -> None:
    configure(tmp_path, {"auths": {domain: {"auth": encoded("me", "old")}}})
    environment = {TOKEN_VARIABLE: SECRET}
    found = await source(tmp_path, **environment).login(domain)
    assert found == Login("oauth2accesstoken", SECRET)


@pytest.mark.parametrize("domain", ["gcr.io.example", "notgcr.io", "docker.pkg.dev.example"])
async def test_nobody_else_gets_the_access_token(tmp_path: Path, domain: str) -> None:
    async def token() -> str:
        return SECRET

    environment = {TOKEN_VARIABLE: SECRET, "DOCKER_CONFIG": str(tmp_path)}
    assert await CredentialSource(environment, google_token=token).login(domain) is None


async def test_the_access_token_may_come_from_elsewhere(tmp_path: Path) -> None:
    async def token() -> str:
        return SECRET

    async def none() -> None:
        return None

    configure(tmp_path, {"auths": {GOOGLE: {"auth": encoded("me", "stored")}}})
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    with_token = await CredentialSource(environment, google_token=token).login(GOOGLE)
    without = await CredentialSource(environment, google_token=none).login(GOOGLE)
    assert with_token == Login("oauth2accesstoken", SECRET)
    assert without == Login("me", "stored")


@pytest.mark.parametrize(
    "text",
    [
        f'{{"auths": "{SECRET}',
        f'["{SECRET}"]',
        f'{{"auths": "{SECRET}"}}',
        f'{{"auths": {{"a.example": {{"auth": "{SECRET}"}}}}}}',
        '{"auths": {"a.example": {"auth": "' + base64.b64encode(b"hunter2").decode() + '"}}}',
        f'{{"credsStore": "../{SECRET}"}}',
        "\udcff",
    ],
)
async def test_a_broken_config_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CredentialsError) as caught:
        await source(tmp_path).login("a.example")
    shown = "".join(traceback.format_exception(caught.value))
    assert str(tmp_path / "config.json") in caught.value.sentence
    assert caught.value.remedy
    assert "hunter2" not in shown
    assert base64.b64encode(b"hunter2").decode() not in shown


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (f"echo '{SECRET}'", "no login"),
        (f"echo '{SECRET}'; echo '{SECRET}' >&2; exit 3", "exit status 3"),
    ],
)
async def test_a_helper_that_fails_is_named_and_not_quoted(
    tmp_path: Path, script: str, words: str
) -> None:
    helper(tmp_path, "mine", script)
    configure(tmp_path, {"credsStore": "mine"})
    with pytest.raises(CredentialsError, match=words) as caught:
        await source(tmp_path).login("a.example")
    assert "docker-credential-mine" in caught.value.sentence
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_a_helper_that_is_not_there_is_named(tmp_path: Path) -> None:
    configure(tmp_path, {"credHelpers": {"a.example": "gone"}})
    with pytest.raises(CredentialsError, match=r"docker-credential-gone .* not installed"):
        await source(tmp_path).login("a.example")


def test_a_login_shows_no_secret() -> None:
    for login in (Login("me", SECRET), Login("", "", identity_token=SECRET)):
        assert SECRET not in f"{login} {login!r}"
