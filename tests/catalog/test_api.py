"""The catalog over the API: shapes, sight, pages and a registry in trouble."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.embedded.ports import free_port
from releases.catalog import versions
from releases.catalog.references import value_of
from tests.catalog.conftest import load_examples
from tests.people import Cast
from tests.portal.api import ApiClient
from tests.portal.integrations.image_registry import ImageRegistry, image_registry
from tests.soak import long

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(cast: Cast) -> ApiClient:
    load_examples("portal-universe")
    return ApiClient(cast.outsider)


@pytest.fixture(scope="module")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRegistry]:
    with image_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def registry(shared_registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch) -> ImageRegistry:
    monkeypatch.setenv("PRACTICE_REGISTRY_URL", shared_registry.url)
    versions.LISTS.clear()
    return shared_registry


@long
def test_services_are_listed_with_team_core_and_environments(api: ApiClient) -> None:
    answer = api.get("/services?system=portal-universe&limit=200").json()
    assert answer["next"] is None
    found = {each["name"]: each for each in answer["items"]}
    assert len(found) == 10
    assert found["auth-service"]["core"] is True
    assert found["shopping-service"]["team"] == "commerce"
    assert found["blog-service"]["environments"] == ["portal-universe-production", "portal-universe-staging"]


@long
def test_services_come_in_pages(api: ApiClient) -> None:
    names: list[str] = []
    cursor = ""
    while True:
        answer = api.get(f"/services?limit=4{cursor}").json()
        names += [each["name"] for each in answer["items"]]
        if answer["next"] is None:
            break
        cursor = f"&cursor={answer['next']}"
    assert names == sorted(set(names))
    assert len(names) == 10


@long
def test_environments_are_listed(api: ApiClient) -> None:
    found = {each["name"]: each for each in api.get("/environments").json()["items"]}
    production = found["portal-universe-production"]
    assert (production["stage"], production["protected"], production["namespace"]) == (
        "production",
        True,
        "portal-universe",
    )
    assert found["portal-universe-staging"]["protected"] is False


@long
def test_versions_come_newest_first_with_their_digests(api: ApiClient, registry: ImageRegistry) -> None:
    repository = "portal-universe/blog-service"
    old = registry.push(repository, "v1.10.0", created="2026-01-01T00:00:00Z", commit="aaa")
    new = registry.push(repository, "v1.9.1", created="2026-01-09T00:00:00Z", commit="bbb")
    items = api.get("/services/blog-service/versions").json()["items"]
    assert [(each["version"], each["digest"], each["commit"]) for each in items] == [
        ("v1.9.1", new, "bbb"),
        ("v1.10.0", old, "aaa"),
    ]
    assert items[0]["image"] == f"registry.practice/portal-universe/blog-service@{new}"
    assert items[0]["created_at"].startswith("2026-01-09T")


@long
def test_versions_of_an_unknown_service_are_not_found(api: ApiClient) -> None:
    answer = api.get("/services/nothing/versions")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@long
def test_versions_of_a_service_without_a_repository_say_so(api: ApiClient, registry: ImageRegistry) -> None:
    answer = api.get("/services/api-gateway/versions")
    assert answer.json()["code"] == "image_not_found"
    assert answer.status_code == 502


@long
def test_an_absent_registry_is_a_problem_that_passes(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    versions.LISTS.clear()
    monkeypatch.setenv("PRACTICE_REGISTRY_URL", f"http://127.0.0.1:{free_port()}")
    answer = api.get("/services/auth-service/versions")
    assert (answer.status_code, answer.json()["code"]) == (503, "registry_unreachable")


@long
def test_a_registry_whose_address_is_not_set_is_named(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.LISTS.clear()
    monkeypatch.delenv("PRACTICE_REGISTRY_URL", raising=False)
    answer = api.get("/services/auth-service/versions")
    assert answer.json()["code"] == "reference_unset"
    assert "PRACTICE_REGISTRY_URL" in answer.json()["detail"]


def test_the_catalog_is_not_for_strangers() -> None:
    for path in ("/services", "/environments", "/services/web/versions"):
        assert ApiClient(None).get(path).status_code == 401


def test_a_connection_reads_its_login_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("a long password\n")
    monkeypatch.setenv("REGISTRY_USER_FILE", str(tmp_path / "password"))
    assert value_of("env:REGISTRY_USER") == "a long password"
    assert value_of(f"file:{tmp_path}/password") == "a long password"
