"""Questions to a registry that speaks the real protocol, well and unwell."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import traceback
from pathlib import Path

import httpx
import pytest

from core.image.credentials import CredentialSource, Login
from core.image.errors import ImageError, RefusedError, RegistryError
from core.image.reference import parse_reference
from core.image.registry import Registry, Stored
from tests.core.image.stand_in_registry import (
    INDEX,
    MANIFEST,
    Fault,
    StandInRegistry,
    manifest,
)

PATH = "team/app"


class Asking:
    """Somebody who asks, and never really waits."""

    def __init__(self, registry: StandInRegistry, home: Path) -> None:
        self.stand_in = registry
        self.pauses: list[float] = []
        self.home = home
        self.login: Login | None = None
        self.transport: httpx.AsyncBaseTransport | None = None
        self.domain = registry.domain

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def registry(self) -> Registry:
        logins = {} if self.login is None else {self.domain: self.login}
        credentials = CredentialSource({"DOCKER_CONFIG": str(self.home)}, logins)
        return Registry(self.domain, credentials, sleep=self.pause, transport=self.transport)

    async def find(self, ending: str = ":1") -> Stored | None:
        async with self.registry() as registry:
            return await registry.find(parse_reference(f"{self.domain}/{PATH}{ending}"))

    async def check_push(self) -> None:
        async with self.registry() as registry:
            await registry.check_push(parse_reference(f"{self.domain}/{PATH}"))


def address_of_this_machine() -> str:
    """An address that is not loopback: TLS is spoken with it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: it only chooses the way.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address beside loopback")
        return str(probe.getsockname()[0])


def certificate_for(address: str, folder: Path) -> tuple[Path, Path]:
    """A certificate that nobody else trusts, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    certificate, key = folder / "ca.crt", folder / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=stand-in"),
            *("-addext", f"subjectAltName=IP:{address}"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


class Rerouted(httpx.AsyncHTTPTransport):
    """Leads every name to one port of this machine."""

    def __init__(self, domain: str) -> None:
        super().__init__()
        self._port = int(domain.rpartition(":")[2])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await super().handle_async_request(request)


@pytest.fixture
def asking(registry: StandInRegistry, tmp_path: Path) -> Asking:
    return Asking(registry, tmp_path)


async def test_a_tag_and_its_digest_are_the_same_image(asking: Asking) -> None:
    digest = asking.stand_in.hold(PATH, "1", manifest(7, 100, 1000))
    assert await asking.find(":1") == Stored(digest, 1107)
    assert await asking.find(f"@{digest}") == Stored(digest, 1107)
    assert await asking.find(":2") is None


async def test_an_index_keeps_its_digest_and_has_the_size_of_its_amd64_image(
    asking: Asking,
) -> None:
    arm = asking.stand_in.hold(PATH, "arm", manifest(1, 1))
    intel = asking.stand_in.hold(PATH, "intel", manifest(5, 50))
    entries = [
        {"mediaType": MANIFEST, "digest": arm, "platform": {"os": "linux", "architecture": "arm"}},
        {
            "mediaType": MANIFEST,
            "digest": intel,
            "platform": {"os": "linux", "architecture": "amd64"},
        },
    ]
    index = asking.stand_in.hold(PATH, "1", {"mediaType": INDEX, "manifests": entries})
    assert await asking.find() == Stored(index, 55)


@pytest.mark.parametrize("method", ["basic", "bearer"])
async def test_a_login_opens_what_is_closed(asking: Asking, method: str) -> None:
    asking.stand_in.hold(PATH, "1", manifest(1))
    asking.stand_in.login = method  # type: ignore[assignment]
    asking.login = Login(asking.stand_in.user, asking.stand_in.password)
    assert await asking.find() is not None
    await asking.check_push()


async def test_an_upload_that_was_only_a_question_is_given_up(asking: Asking) -> None:
    await asking.check_push()
    assert asking.stand_in.asked("DELETE") == [f"/v2/{PATH}/blobs/uploads/one"]


async def test_credentials_are_not_sent_where_an_upload_is_said_to_be_elsewhere(
    asking: Asking,
) -> None:
    asking.stand_in.login = "basic"
    asking.login = Login(asking.stand_in.user, asking.stand_in.password)
    with StandInRegistry().serve() as elsewhere:
        asking.stand_in.location = f"http://{elsewhere.domain}/v2/{PATH}/blobs/uploads/one"
        await asking.check_push()
        assert elsewhere.requests == []
    assert asking.stand_in.asked("DELETE") == []


@pytest.mark.parametrize("location", [None, "http://[no-address", "//", "ftp://127.0.0.1"])
async def test_an_upload_that_cannot_be_given_up_keeps_nobody_from_pushing(
    asking: Asking, location: str | None
) -> None:
    asking.stand_in.location = location
    asking.stand_in.keeps_uploads = True
    await asking.check_push()
    assert len(asking.stand_in.asked("DELETE")) <= 1
    assert asking.pauses == []


async def test_a_token_is_asked_for_once_for_each_right(asking: Asking) -> None:
    asking.stand_in.hold(PATH, "1", manifest(1))
    asking.stand_in.login = "bearer"
    asking.login = Login(asking.stand_in.user, asking.stand_in.password)
    reference = parse_reference(f"{asking.domain}/{PATH}:1")
    async with asking.registry() as registry:
        for _ in range(3):
            await registry.find(reference)
            await registry.check_push(reference)
    assert asking.stand_in.asked("GET").count("/token") == 2


async def test_an_identity_token_is_exchanged(asking: Asking) -> None:
    asking.stand_in.hold(PATH, "1", manifest(1))
    asking.stand_in.login = "bearer"
    asking.login = Login("", "", identity_token=asking.stand_in.identity_token)
    assert await asking.find() is not None
    assert asking.stand_in.asked("POST") == ["/token"]


@pytest.mark.parametrize("method", ["basic", "bearer"])
@pytest.mark.parametrize("login", [None, Login("someone", "wrong-one")], ids=["none", "wrong"])
async def test_no_or_a_wrong_login_is_refused_with_the_remedy(
    asking: Asking, method: str, login: Login | None
) -> None:
    asking.stand_in.login = method  # type: ignore[assignment]
    asking.login = login
    with pytest.raises(RefusedError, match="does not accept the credentials") as caught:
        await asking.find()
    assert f"docker login {asking.domain}" in caught.value.remedy
    # A run has no such flags.
    assert f"image push --image {asking.domain}/{PATH} --registry-user" in caught.value.remedy
    assert "wrong-one" not in "".join(traceback.format_exception(caught.value))
    assert asking.pauses == []


@pytest.mark.parametrize(
    "realm", ["http://auth.example/token", "ftp://auth.example", "nonsense", "file:///etc/passwd"]
)
async def test_credentials_are_not_sent_where_anybody_could_read_them(
    asking: Asking, realm: str
) -> None:
    asking.stand_in.login = "bearer"
    asking.stand_in.realm = realm
    asking.login = Login(asking.stand_in.user, asking.stand_in.password)
    with pytest.raises(RegistryError, match="not safe"):
        await asking.find()


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(403, code="DENIED", message="no right"), RefusedError, "403: no right"),
        (Fault(405, code="UNSUPPORTED", message=""), RefusedError, "405: UNSUPPORTED"),
        (Fault(200, body=b"<html>a portal</html>"), RegistryError, "no manifest"),
        (Fault(200, body=b"[" * 100_000), RegistryError, "no manifest"),
        (
            Fault(200, body=b"{}", headers={"Docker-Content-Digest": "md5:1"}),
            RegistryError,
            "no manifest",
        ),
        (Fault(418, message="\x1b[2Jtea"), RefusedError, r"418: \\x1b\[2Jtea"),
    ],
)
async def test_a_final_answer_is_said_at_once(
    asking: Asking, fault: Fault, kind: type[ImageError], words: str
) -> None:
    asking.stand_in.faults.append(fault)
    with pytest.raises(kind, match=words) as caught:
        await asking.find()
    assert caught.value.remedy
    assert asking.pauses == []


@pytest.mark.parametrize("fault", [Fault(429), Fault(500), Fault(503), Fault(cut=True)], ids=repr)
async def test_a_registry_that_gets_well_is_asked_again(asking: Asking, fault: Fault) -> None:
    digest = asking.stand_in.hold(PATH, "1", manifest(1))
    asking.stand_in.faults.extend([fault] * 3)
    assert await asking.find() == Stored(digest, 1)
    assert asking.pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("fault", "words"),
    [(Fault(503, message="overloaded"), "503: overloaded"), (Fault(cut=True), "cannot be used")],
    ids=repr,
)
async def test_a_registry_that_stays_unwell_is_given_up(
    asking: Asking, fault: Fault, words: str
) -> None:
    asking.stand_in.faults.extend([fault] * 10)
    with pytest.raises(RegistryError, match=words):
        await asking.find()
    assert len(asking.pauses) == 3


@pytest.mark.parametrize(("asked", "taken"), [("7", 7.0), ("9999", 30.0), ("tomorrow", 0.5)])
async def test_the_pause_that_a_registry_asks_for_is_kept_within_reason(
    asking: Asking, asked: str, taken: float
) -> None:
    asking.stand_in.hold(PATH, "1", manifest(1))
    asking.stand_in.faults.append(Fault(429, headers={"Retry-After": asked}))
    assert await asking.find() is not None
    assert asking.pauses == [taken]


async def test_nobody_there_is_said_after_a_few_tries(asking: Asking) -> None:
    asking.domain = "127.0.0.1:1"
    with pytest.raises(RegistryError, match=r"The registry 127\.0\.0\.1:1 cannot be used"):
        await asking.find()
    assert len(asking.pauses) == 3


async def test_a_name_that_leads_nowhere_is_said(asking: Asking) -> None:
    asking.domain = "registry.invalid"
    with pytest.raises(RegistryError, match=r"registry\.invalid cannot be used"):
        await asking.find()


async def test_any_other_machine_is_spoken_to_with_tls_only(asking: Asking) -> None:
    asking.transport = Rerouted(asking.stand_in.domain)
    asking.domain = "registry.example"
    asking.login = Login(asking.stand_in.user, asking.stand_in.password)
    with pytest.raises(RegistryError, match=r"registry\.example cannot be used: .*SSL"):
        await asking.find()
    assert asking.stand_in.requests == []


async def test_another_image_than_the_one_asked_for_is_not_taken(asking: Asking) -> None:
    asking.stand_in.hold(PATH, "1", manifest(1))
    wanted = "sha256:" + "0" * 64
    asking.stand_in.faults.append(Fault(200, body=b"{}", headers={"Content-Type": MANIFEST}))
    with pytest.raises(RegistryError, match="changes what it says"):
        await asking.find(f"@{wanted}")


async def test_an_authority_that_docker_trusts_for_a_registry_is_trusted(tmp_path: Path) -> None:
    address = address_of_this_machine()
    certificate, key = certificate_for(address, tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    with StandInRegistry().serve(address, tls) as stand_in:
        digest = stand_in.hold(PATH, "1", manifest(1))
        reference = parse_reference(f"{stand_in.domain}/{PATH}:1")
        credentials = CredentialSource({"DOCKER_CONFIG": str(tmp_path)})
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)

        async def find() -> Stored | None:
            async with Registry(
                stand_in.domain, credentials, sleep=pause, certificates=tmp_path / "certs.d"
            ) as registry:
                return await registry.find(reference)

        with pytest.raises(RegistryError, match="CERTIFICATE_VERIFY_FAILED"):
            await find()
        assert pauses == []
        (tmp_path / "certs.d" / stand_in.domain).mkdir(parents=True)
        shutil.copy(certificate, tmp_path / "certs.d" / stand_in.domain)
        assert await find() == Stored(digest, 1)


async def test_a_certificate_that_is_none_is_named(asking: Asking, tmp_path: Path) -> None:
    (tmp_path / asking.domain).mkdir()
    (tmp_path / asking.domain / "ca.crt").write_text("nothing")
    credentials = CredentialSource({"DOCKER_CONFIG": str(tmp_path)})
    with pytest.raises(RegistryError, match=r"ca\.crt of the registry"):
        async with Registry(asking.domain, credentials, certificates=tmp_path):
            pass
