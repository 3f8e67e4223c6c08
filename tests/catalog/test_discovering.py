"""Discovery is right on the habits of real clusters, and says what it cannot know."""

from typing import Any

import pytest
import yaml

from releases.catalog.discovery import Discovery, Place, Proposed, discover
from releases.catalog.documents import read_text
from releases.catalog.images import Image, parse_image
from releases.catalog.proposal_text import as_yaml
from releases.catalog.schema import problems_of
from tests.catalog.cluster_objects import autoscaler, container, listed, service, workload
from tests.catalog.conftest import EXAMPLES

PLACE = Place("shop", "shop", "commerce", ("shop-production",))
IMAGE = "registry.practice/shop/web:1.2.3"


def find(*objects: dict[str, Any], **more: list[dict[str, Any]]) -> Discovery:
    return discover(listed(*objects, **more), place=PLACE)


def only(found: Discovery) -> Proposed:
    (proposed,) = found.services
    return proposed


def names(found: Discovery) -> list[str]:
    return [each.document["metadata"]["name"] for each in found.services]


def notes(found: Discovery) -> str:
    return "\n".join([*found.warnings, *(note for each in found.services for note in each.notes)])


def test_a_tidy_workload_is_proposed_without_notes() -> None:
    found = only(find(workload("web", container("web", IMAGE)), service("web", {"app": "web"})))
    assert found.document["spec"] == {
        "team": "commerce",
        "system": "shop",
        "image": "registry.practice/shop/web",
        "environments": ["shop-production"],
        "workloads": [{"kind": "Deployment", "name": "web", "containers": ["web"]}],
        "health": {"kind": "http", "service": "web", "port": 80, "path": "/health"},
    }
    assert found.notes == []


def test_of_several_containers_the_application_is_set_and_the_others_are_named() -> None:
    proxy = container("proxy", "docker.io/envoyproxy/envoy:v1.30", port=15000, probe=None)
    found = only(find(workload("web", proxy, container("app", IMAGE)), service("web", {"app": "web"})))
    assert found.document["spec"]["workloads"][0]["containers"] == ["app"]
    assert found.document["spec"]["image"] == "registry.practice/shop/web"
    assert any("proxy" in note and "stays as it is" in note for note in found.notes)


def test_an_init_container_of_the_same_image_is_set_too() -> None:
    migrate = {"name": "migrate", "image": IMAGE}
    wait = {"name": "wait", "image": "busybox"}
    found = only(find(workload("web", container("web", IMAGE), init=(migrate, wait))))
    assert found.document["spec"]["workloads"][0]["containers"] == ["migrate", "web"]
    assert any("wait" in note for note in found.notes)


def test_workloads_that_share_an_image_are_told_of_each_other() -> None:
    found = find(
        workload("web", container("app", IMAGE)),
        workload("worker", container("app", IMAGE, port=None)),
        service("web", {"app": "web"}),
    )
    assert names(found) == ["web", "worker"]
    assert any("deployment/worker" in note for note in found.services[0].notes)
    assert any("deployment/web" in note for note in found.services[1].notes)


def test_names_that_differ_from_labels_and_services_are_said() -> None:
    labels = {"app.kubernetes.io/name": "storefront"}
    found = only(
        find(workload("web-v2", container("app", IMAGE), labels=labels), service("shop-front", labels))
    )
    assert found.document["metadata"]["name"] == "web-v2"
    assert found.document["spec"]["health"]["service"] == "shop-front"
    assert any("labelled storefront" in note for note in found.notes)
    assert any("Service shop-front" in note for note in found.notes)


def test_deployments_behind_one_service_with_one_image_are_one_service() -> None:
    found = only(
        find(
            workload("web-blue", container("app", IMAGE), labels={"app": "web", "color": "blue"}),
            workload("web-green", container("app", IMAGE), labels={"app": "web", "color": "green"}),
            service("web", {"app": "web"}),
        )
    )
    assert found.document["metadata"]["name"] == "web"
    assert [each["name"] for each in found.document["spec"]["workloads"]] == ["web-blue", "web-green"]


def test_deployments_behind_one_service_with_other_images_stay_apart() -> None:
    found = find(
        workload("api", container("app", "registry.practice/shop/api:1"), labels={"part": "x", "app": "api"}),
        workload("web", container("app", IMAGE), labels={"part": "x", "app": "web"}),
        service("all", {"part": "x"}),
    )
    assert names(found) == ["api", "web"]
    assert any("different images" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("registry.practice/shop/web", "no tag"),
        ("registry.practice:5000/shop/web", "no tag"),
        ("registry.practice/shop/web:latest", "latest"),
        ("registry.practice/shop/web:1@sha256:" + "0" * 64, "pinned by digest"),
    ],
)
def test_an_image_whose_name_says_little_is_named(image: str, said: str) -> None:
    assert said in notes(find(workload("web", container("web", image))))


def test_a_missing_readiness_probe_is_said() -> None:
    found = only(find(workload("web", container("web", IMAGE, probe=None)), service("web", {"app": "web"})))
    assert found.document["spec"]["health"] == {"kind": "none"}
    assert any("no readiness probe" in note for note in found.notes)


def test_an_actuator_is_recognised_and_asked_through_the_services_own_port() -> None:
    probe = container("web", IMAGE, port=8081, probe="/actuator/health/readiness")
    found = only(find(workload("web", probe), service("web", {"app": "web"}, port=9000, target=8081)))
    assert found.document["spec"]["health"] == {
        "kind": "actuator",
        "service": "web",
        "port": 9000,
        "path": "/actuator/health/readiness",
    }


def test_a_probe_that_no_service_reaches_is_said() -> None:
    found = find(workload("web", container("web", IMAGE)), service("web", {"app": "web"}, target=9999))
    assert "No Service reaches" in notes(found)


def test_a_stateful_set_is_proposed_beside_a_deployment_of_its_name() -> None:
    cache = workload("web", container("redis", "redis:7.4", probe=None), kind="StatefulSet")
    found = find(workload("web", container("web", IMAGE)), cache)
    assert sorted(names(found)) == ["web", "web-statefulset"]
    image = found.services[1].document["spec"]["image"]
    assert image == "docker.io/library/redis"


def test_jobs_and_their_like_are_listed_and_not_proposed() -> None:
    owned = {"metadata": {"name": "nightly-1", "ownerReferences": [{"kind": "CronJob"}]}}
    found = find(
        Job=[{"metadata": {"name": "migrate"}}, owned],
        CronJob=[{"metadata": {"name": "nightly"}}],
        DaemonSet=[{"metadata": {"name": "agent"}}],
    )
    assert found.services == []
    assert found.beside == ["DaemonSet agent", "Job migrate", "CronJob nightly"]


def test_an_autoscaler_that_aims_at_nothing_is_a_warning_and_one_that_aims_well_a_note() -> None:
    found = find(
        workload("web", container("web", IMAGE)),
        HorizontalPodAutoscaler=[autoscaler("web", "web", low=3, high=10), autoscaler("old", "web-v1")],
    )
    assert found.warnings == ["The autoscaler old aims at Deployment web-v1, which does not exist."]
    assert "owns its replicas (3 to 10)" in notes(found)


@pytest.mark.parametrize(
    "mark",
    [
        {"annotations": {"argocd.argoproj.io/tracking-id": "shop-app:apps/Deployment:shop/web"}},
        {"metadata_labels": {"argocd.argoproj.io/instance": "shop-app"}},
    ],
)
def test_what_argo_cd_owns_is_said(mark: dict[str, dict[str, str]]) -> None:
    made = workload("web", container("web", IMAGE), annotations=mark.get("annotations"))
    made["metadata"]["labels"] = mark.get("metadata_labels", {})
    assert "Argo CD application shop-app" in notes(find(made))


def test_a_tracking_id_copied_from_another_object_is_ignored() -> None:
    copied = {"argocd.argoproj.io/tracking-id": "shop-app:apps/Deployment:other/web"}
    assert "Argo" not in notes(find(workload("web", container("web", IMAGE), annotations=copied)))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"replicas": 0}, "at rest"),
        ({"paused": True}, "paused"),
        ({"strategy": {"type": "Recreate"}}, "recreated"),
        ({"updateStrategy": {"type": "OnDelete"}}, "deleted by hand"),
    ],
)
def test_habits_that_matter_to_a_rollout_are_said(spec: dict[str, Any], said: str) -> None:
    assert said in notes(find(workload("web", container("web", IMAGE), **spec)))


def test_a_service_that_reaches_nothing_is_a_warning() -> None:
    assert "reaches no workload" in notes(find(service("old", {"app": "old"})))


def test_the_text_is_a_catalog_file_that_fits_its_schema() -> None:
    found = find(
        workload("web", container("web", "registry.practice/shop/web")), service("web", {"app": "web"})
    )
    found.services[0].notes.append("two\nlines")
    documents, problems = read_text(as_yaml(found), "found.yaml")
    assert problems == []
    assert [problem for each in documents for problem in problems_of(each)] == []
    assert "# two lines\n" in as_yaml(found)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("nginx", ("docker.io", "library/nginx", "", "")),
        ("bitnami/redis:7", ("docker.io", "bitnami/redis", "7", "")),
        ("localhost/web:1", ("localhost", "web", "1", "")),
        ("host:5000/a/b", ("host:5000", "a/b", "", "")),
        ("host.example/a/b:1@sha256:ab", ("host.example", "a/b", "1", "sha256:ab")),
    ],
)
def test_an_images_name_is_read_as_runtimes_read_it(text: str, parts: tuple[str, ...]) -> None:
    assert parse_image(text) == Image(*parts)


@pytest.mark.parametrize("system", ["portal-universe", "runbook-api", "storebridge", "plate", "kop"])
def test_what_the_examples_run_is_found_as_their_catalog_describes_it(system: str) -> None:
    objects = list(yaml.safe_load_all((EXAMPLES / system / "objects.yaml").read_text()))
    catalog = list(yaml.safe_load_all((EXAMPLES / system / "catalog.yaml").read_text()))
    environment = next(
        each for each in catalog if each["kind"] == "Environment" and each["spec"]["stage"] == "production"
    )
    namespace = environment["spec"]["namespace"]
    here = [each for each in objects if each["metadata"].get("namespace") == namespace]
    found = discover(listed(*here), place=Place(namespace, system, "team", (namespace,)))
    described = {
        (each["kind"], each["name"]): (each["containers"], document["spec"]["image"])
        for document in catalog
        if document["kind"] == "Service"
        and environment["metadata"]["name"] in document["spec"]["environments"]
        for each in document["spec"]["workloads"]
    }
    proposed = {
        (each["kind"], each["name"]): (each["containers"], service.document["spec"]["image"])
        for service in found.services
        for each in service.document["spec"]["workloads"]
    }
    for key, (names_, image) in described.items():
        assert (sorted(proposed[key][0]), proposed[key][1]) == (sorted(names_), image)
    beside = {("Deployment", "storebridge-web-canary"), ("Deployment", "runbook-monitoring")}
    assert set(proposed) - set(described) <= beside


def test_a_rollout_is_proposed_and_the_deployment_that_holds_its_template_is_not() -> None:
    own = workload("own", container("own", IMAGE), kind="Rollout")
    named = workload("named", kind="Rollout", workloadRef={"kind": "Deployment", "name": "held"})
    lost = workload("lost", kind="Rollout", workloadRef={"kind": "Deployment", "name": "gone"})
    for each in (named, lost):
        del each["spec"]["template"]
    held = workload("held", container("web", "registry.practice/shop/other:1"))
    found = find(own, named, lost, held)
    proposed = [each.document["spec"]["workloads"] for each in found.services]
    assert proposed == [
        [{"kind": "Rollout", "name": "named", "containers": ["web"]}],
        [{"kind": "Rollout", "name": "own", "containers": ["own"]}],
    ]
