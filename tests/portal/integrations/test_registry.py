"""The registry client against a real registry, and against one that misbehaves."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from portal.embedded.ports import free_port
from portal.errors import PermanentError, TemporaryError
from portal.integrations.registry import transport
from portal.integrations.registry.client import Registry, newest_first, version_order
from portal.integrations.registry.transport import BODY_BYTES, Transport
from tests.portal.integrations.answering import (
    Asked,
    Given,
    Server,
    answering,
    never_ending,
    trickling_headers,
)
from tests.portal.integrations.image_registry import OCI, ImageRegistry, digest, image_registry
from tests.soak import long

# By bcrypt, which is all the registry understands, with the least cost.
HTPASSWD = "minji:$2y$04$abcdefghijklmnopqrstuunJ0u00SLiuoTA7qEltWZhxMUdJFZu5q\n"
LOGIN = ("minji", "a long password")
MANIFEST = json.dumps({"schemaVersion": 2, "config": {}, "layers": []}).encode()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRegistry]:
    with image_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def client(url: str, **options: str) -> Registry:
    return Registry(Transport(url, **options))  # type: ignore[arg-type]


def ok(body: bytes = MANIFEST, **headers: str) -> Given:
    return Given(200, body, {"Content-Type": f"{OCI}manifest.v1+json", **headers})


def test_a_tag_means_the_digest_that_was_pushed(real: ImageRegistry) -> None:
    made = {"org.opencontainers.image.authors": "Minji <minji@shop.example>"}
    pushed = real.push(
        "shop/web", "1.2.3", created="2026-01-08T09:00:00.123456789Z", commit="abc123", labels=made
    )
    found = client(real.url).resolve("shop/web", "1.2.3")
    assert found.digest == pushed
    assert (found.revision, found.version) == ("abc123", "1.2.3")
    assert found.authors == "Minji <minji@shop.example>"
    assert found.created == datetime(2026, 1, 8, 9, 0, 0, 123456, tzinfo=UTC)
    assert pushed in found.accepted
    assert len(found.accepted) == 2


def test_a_moved_tag_means_the_new_digest(real: ImageRegistry) -> None:
    real.push("shop/moved", "1", created="2026-01-01T00:00:00Z")
    second = real.push("shop/moved", "1", created="2026-01-02T00:00:00Z")
    assert client(real.url).digest_of("shop/moved", "1") == second


def test_an_index_accepts_what_any_platform_may_report(real: ImageRegistry) -> None:
    pushed = real.push_index("shop/multi", "2", created="2026-01-08T09:00:00Z", platforms=("amd64", "arm64"))
    found = client(real.url).resolve("shop/multi", "2")
    assert found.digest == pushed["index"]
    wanted = {pushed[name] for name in ("index", "amd64", "arm64", "amd64 config", "arm64 config")}
    assert wanted <= found.accepted
    assert pushed["unknown config"] not in found.accepted
    assert found.created == datetime(2026, 1, 8, 9, tzinfo=UTC)


def test_a_digest_names_itself(real: ImageRegistry) -> None:
    pushed = real.push("shop/web", "1.3.0", created="2026-01-09T09:00:00Z")
    assert client(real.url).resolve("shop/web", pushed).digest == pushed


@pytest.mark.parametrize(
    ("repository", "reference"),
    [
        ("shop/web", "9.9.9"),
        ("shop/nothing", "1"),
        ("shop/web", "sha256:" + "0" * 64),
        ("shop/web", "../../v2/_catalog"),
        ("shop/web", "1 2"),
        ("shop/web", ""),
        ("../shop", "1"),
        ("Shop/Web", "1"),
    ],
)
def test_what_is_not_there_is_not_found(real: ImageRegistry, repository: str, reference: str) -> None:
    real.push("shop/web", "1.2.3", created="2026-01-08T09:00:00Z")
    with pytest.raises(PermanentError) as refusal:
        client(real.url).resolve(repository, reference)
    assert refusal.value.code == "image_not_found"


def test_tags_are_listed_over_several_pages(real: ImageRegistry) -> None:
    for number in range(5):
        real.push("shop/pages", f"v{number}", created="2026-01-01T00:00:00Z")

    def paged(asked: Asked) -> Given:
        name, following = ("a", "/v2/shop/pages/tags/list?last=a") if "last" not in asked.path else ("b", "")
        link = {"Link": f'<http://elsewhere.example{following}>; rel="next"'} if following else {}
        return Given(200, json.dumps({"tags": [name]}).encode(), link)

    assert sorted(client(real.url).tags("shop/pages")) == [f"v{number}" for number in range(5)]
    with answering(paged) as server:
        assert client(server.url).tags("shop/pages") == ["a", "b"]


def test_a_registry_with_a_login_lets_only_the_right_one_in(tmp_path: Path) -> None:
    with image_registry(tmp_path, htpasswd=HTPASSWD, login=LOGIN) as running:
        pushed = running.push("shop/web", "1", created="2026-01-08T09:00:00Z")
        inside = client(running.url, username=LOGIN[0], password=LOGIN[1])
        assert inside.resolve("shop/web", "1").digest == pushed
        for stranger in (client(running.url), client(running.url, username="minji", password="wrong")):
            with pytest.raises(PermanentError) as refusal:
                stranger.resolve("shop/web", "1")
            assert refusal.value.code == "registry_unauthorized"
            assert "wrong" not in str(refusal.value.detail)


class Bearer:
    """A registry that wants a token from a realm, and the realm itself."""

    def __init__(self, realm: str = "") -> None:
        self.realm = realm
        self.server: Server | None = None

    def __call__(self, asked: Asked) -> Given:
        if asked.path.startswith("/token"):
            return Given(200, b'{"access_token": "opaque", "expires_in": 300}')
        if asked.headers.get("Authorization") == "Bearer opaque":
            return ok()
        realm = self.realm or f"{self.server.url if self.server else ''}/token"
        challenge = f'Bearer realm="{realm}",service="registry",scope="ignored"'
        return Given(401, b"{}", {"WWW-Authenticate": challenge})


def test_a_token_is_fetched_once_and_used_again() -> None:
    bearer = Bearer()
    with answering(bearer) as server:
        bearer.server = server
        inside = client(server.url, username=LOGIN[0], password=LOGIN[1])
        inside.resolve("shop/web", "1")
        inside.resolve("shop/web", "2")
        tokens = [each for each in server.asked if each.path.startswith("/token")]
        assert len(tokens) == 1
        assert tokens[0].path == "/token?service=registry&scope=repository%3Ashop%2Fweb%3Apull"
        assert tokens[0].headers["Authorization"].startswith("Basic ")


def test_a_realm_on_a_host_that_was_not_named_gets_no_login() -> None:
    with answering(lambda _asked: Given(200, b'{"token": "stolen"}')) as thief:
        with answering(Bearer(f"{thief.url}/token")) as server:
            inside = client(server.url, username=LOGIN[0], password=LOGIN[1])
            with pytest.raises(PermanentError) as refusal:
                inside.resolve("shop/web", "1")
        assert refusal.value.code == "registry_realm"
        assert thief.asked == []


def test_a_named_realm_may_be_elsewhere() -> None:
    with answering(Bearer()) as realm, answering(Bearer(f"{realm.url}/token")) as server:
        host = realm.url.removeprefix("http://")
        named = Transport(server.url, token_hosts=frozenset({host}))
        assert Registry(named).resolve("shop/web", "1").digest == digest(MANIFEST)


def test_a_redirect_to_another_host_is_not_followed() -> None:
    with answering(lambda _asked: ok()) as other:
        moved = Given(307, b"", {"Location": f"{other.url}/v2/shop/web/manifests/1"})
        with answering(lambda _asked: moved) as server, pytest.raises(PermanentError) as refusal:
            client(server.url).resolve("shop/web", "1")
        assert refusal.value.code == "registry_redirect"
        assert other.asked == []


def test_a_redirect_on_the_same_host_is_followed() -> None:
    def moving(asked: Asked) -> Given:
        return ok() if asked.path == "/here" else Given(302, b"", {"Location": "/here"})

    with answering(moving) as server:
        assert client(server.url).resolve("shop/web", "1").digest == digest(MANIFEST)


@pytest.mark.parametrize(
    "answer",
    [
        ok(MANIFEST, **{"Docker-Content-Digest": "sha256:" + "1" * 64}),
        ok(b'{"changed": true}', **{"Docker-Content-Digest": digest(MANIFEST)}),
    ],
)
def test_bytes_that_do_not_have_the_named_digest_are_refused(answer: Given) -> None:
    with answering(lambda _asked: answer) as server, pytest.raises(PermanentError) as refusal:
        client(server.url).resolve("shop/web", "1")
    assert refusal.value.code == "image_damaged"


def test_a_digest_is_computed_where_the_registry_names_none() -> None:
    with answering(lambda _asked: ok()) as server:
        assert client(server.url).digest_of("shop/web", "1") == digest(MANIFEST)


def test_an_answer_without_end_is_cut() -> None:
    with (
        answering(lambda _asked: ok(b" " * (BODY_BYTES + 1))) as server,
        pytest.raises(PermanentError) as refusal,
    ):
        client(server.url).resolve("shop/web", "1")
    assert refusal.value.code == "registry_answer"


@pytest.mark.parametrize("body", [b"not json", b"[]", b"[" * 100_000])
def test_an_answer_that_is_no_manifest_is_refused(body: bytes) -> None:
    with answering(lambda _asked: ok(body)) as server, pytest.raises(PermanentError) as refusal:
        client(server.url).resolve("shop/web", "1")
    assert refusal.value.code == "registry_answer"


def test_a_page_that_is_no_image_is_refused() -> None:
    page = Given(200, b"<html>", {"Content-Type": "text/html"})
    with answering(lambda _asked: page) as server, pytest.raises(PermanentError) as refusal:
        client(server.url).resolve("shop/web", "1")
    assert refusal.value.code == "image_unknown_kind"


@pytest.mark.parametrize(("status", "retry_in"), [(429, 7.0), (500, 2.0), (503, 7.0)])
def test_a_busy_registry_is_asked_again_later(status: int, retry_in: float) -> None:
    headers = {"Retry-After": "7"} if retry_in == 7.0 else {}
    with (
        answering(lambda _asked: Given(status, b"", headers)) as server,
        pytest.raises(TemporaryError) as trouble,
    ):
        client(server.url).resolve("shop/web", "1")
    assert trouble.value.retry_in == retry_in


def test_an_absent_registry_is_a_passing_trouble() -> None:
    with pytest.raises(TemporaryError) as trouble:
        client(f"http://127.0.0.1:{free_port()}").resolve("shop/web", "1")
    assert trouble.value.code == "registry_unreachable"


@long
def test_versions_are_ordered_by_number_and_release() -> None:
    tags = ["v1.9.0", "v1.10.0", "v1.10.0-rc.2", "latest", "v1.2", "v1.10.0-rc.10"]
    ordered = sorted(tags, key=version_order, reverse=True)
    assert ordered == ["v1.10.0", "v1.10.0-rc.10", "v1.10.0-rc.2", "v1.9.0", "v1.2", "latest"]


@long
def test_the_newest_image_comes_first(real: ImageRegistry) -> None:
    for tag, day in (("2.0", 1), ("1.9", 3), ("1.8", 2)):
        real.push("shop/order", tag, created=f"2026-01-0{day}T00:00:00Z")
    registry = client(real.url)
    found = newest_first(registry.resolve("shop/order", tag) for tag in registry.tags("shop/order"))
    assert [each.version for each in found] == ["1.9", "1.8", "2.0"]


def test_a_registry_that_trickles_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 0.3)
    with never_ending(0.05) as port, pytest.raises(TemporaryError) as trouble:
        client(f"http://127.0.0.1:{port}").tags("shop/web")
    assert trouble.value.code == "registry_unreachable"


def test_a_registry_whose_headers_trickle_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "READ_SECONDS", 0.3)
    with trickling_headers(0.05) as (port, whole):
        with pytest.raises(TemporaryError) as trouble:
            client(f"http://127.0.0.1:{port}").tags("shop/web")
        assert not whole.is_set()
    assert trouble.value.code == "registry_unreachable"
