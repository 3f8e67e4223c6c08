"""The practice registry, and what pods make of its images."""

import hashlib

from tests.cluster.objects import Space, deployment, is_ready, wait_for, waiting_reasons
from tests.practice.conftest import Practice, plain_get

INDEX = "application/vnd.oci.image.index.v1+json"


def _ask(practice: Practice, path: str) -> tuple[int, dict[str, str], object]:
    return plain_get(f"http://127.0.0.1:{practice.registry_port}/v2/{path}")


def test_tags_and_repositories_are_listed(practice: Practice) -> None:
    assert _ask(practice, "_catalog")[2] == {"repositories": ["shop/web", "shop/worker"]}
    assert _ask(practice, "shop/web/tags/list")[2] == {
        "name": "shop/web",
        "tags": ["1.0", "1.1", "1.2", "1.3"],
    }


def test_a_tag_is_an_index_of_two_platforms_with_its_digest(practice: Practice) -> None:
    code, headers, _ = _ask(practice, "shop/web/manifests/1.0")
    assert (code, headers["content-type"]) == (200, INDEX)
    digest = headers["docker-content-digest"]
    code, again, index = _ask(practice, f"shop/web/manifests/{digest}")
    assert (code, again["docker-content-digest"]) == (200, digest)
    assert isinstance(index, dict)
    assert {each["platform"]["architecture"] for each in index["manifests"]} == {"amd64", "arm64"}


def test_a_config_tells_version_commit_and_time(practice: Practice) -> None:
    _, _, index = _ask(practice, "shop/web/manifests/1.1")
    assert isinstance(index, dict)
    _, _, manifest = _ask(practice, f"shop/web/manifests/{index['manifests'][0]['digest']}")
    assert isinstance(manifest, dict)
    digest = manifest["config"]["digest"]
    code, headers, data = _ask(practice, f"shop/web/blobs/{digest}")
    assert (code, headers["docker-content-digest"]) == (200, digest)
    assert isinstance(data, bytes)
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest
    for words in (
        b'"created":"2024-05-02T10:00:00Z"',
        b'image.revision":"bbbb2222"',
        b'image.version":"1.1"',
    ):
        assert words in data


def test_what_is_not_there_is_said_as_registries_say_it(practice: Practice) -> None:
    for path, word in (
        ("shop/web/manifests/9.9", "MANIFEST_UNKNOWN"),
        ("shop/nothing/manifests/1.0", "NAME_UNKNOWN"),
        ("shop/web/blobs/sha256:00", "BLOB_UNKNOWN"),
    ):
        code, _, body = _ask(practice, path)
        assert isinstance(body, dict)
        assert (code, body["errors"][0]["code"]) == (404, word)


def test_a_pod_runs_the_digest_of_its_platform(practice: Practice, space: Space) -> None:
    space.create(deployment("web", image="registry.practice/shop/web:1.0"))
    space.settle("web")
    _, _, index = _ask(practice, "shop/web/manifests/1.0")
    assert isinstance(index, dict)
    [status] = space.pods("web")[0]["status"]["containerStatuses"]
    assert status["imageID"] == f"registry.practice/shop/web@{index['manifests'][0]['digest']}"


def test_a_tag_that_does_not_exist_cannot_be_pulled(space: Space) -> None:
    space.create(deployment("web", image="registry.practice/shop/web:9.9"))
    pod = wait_for(
        lambda: next((pod for pod in space.pods("web") if "ErrImagePull" in waiting_reasons(pod)), None),
        what="the failed pull",
    )
    message = pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
    assert "manifest unknown" in message


def test_images_ask_for_failures_by_label_and_by_name(space: Space) -> None:
    space.create(deployment("label", image="registry.practice/shop/web:1.2"))
    space.create(deployment("name", image="registry.test/auth:1.2.3-fail-createcontainererror"))
    wait_for(
        lambda: any("CreateContainerError" in waiting_reasons(pod) for pod in space.pods("name")), what="name"
    )
    wait_for(
        lambda: any(
            pod["status"].get("containerStatuses", [{}])[0].get("restartCount") for pod in space.pods("label")
        ),
        what="label",
    )
    assert not any(is_ready(pod) for pod in space.pods("name"))
