"""The examples agree with themselves: catalog, cluster objects and images name the same things."""

from typing import Any

import pytest
import yaml

from releases.catalog.documents import Document, read
from releases.catalog.operations import check_documents
from tests.catalog.conftest import EXAMPLES

SYSTEMS = ("portal-universe", "runbook-api", "storebridge", "kop", "plate")
HOST = "registry.practice/"


def documents(kind: str) -> list[Document]:
    return [each for each in read(EXAMPLES)[0] if each.kind == kind]


def cluster_objects(system: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    found = yaml.safe_load_all((EXAMPLES / system / "objects.yaml").read_text())
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in found
    }


def tags() -> dict[str, set[str]]:
    images = yaml.safe_load((EXAMPLES / "images.yaml").read_text())
    return {repository: {each["tag"] for each in entries} for repository, entries in images.items()}


def containers(workload: dict[str, Any]) -> dict[str, str]:
    pod = workload["spec"]["template"]["spec"]
    return {each["name"]: each["image"] for each in (*pod.get("initContainers", []), *pod["containers"])}


def test_all_examples_are_in_order() -> None:
    found, problems = read(EXAMPLES)
    assert problems + check_documents(found, {}) == []
    assert {each.spec["system"] for each in documents("Environment")} == set(SYSTEMS)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_service_of_the_catalog_runs(system: str) -> None:
    objects = cluster_objects(system)
    namespaces = {each.name: each.spec["namespace"] for each in documents("Environment")}
    services = [each for each in documents("Service") if each.spec["system"] == system]
    assert services
    for service in services:
        for environment in service.spec["environments"]:
            namespace = namespaces[environment]
            for workload in service.spec["workloads"]:
                running = containers(objects[workload["kind"], namespace, workload["name"]])
                for name in workload["containers"]:
                    assert running[name].rpartition(":")[0] == service.spec["image"]
            health = service.spec["health"]
            if health["kind"] != "none":
                ports = objects["Service", namespace, health["service"]]["spec"]["ports"]
                assert health["port"] in {each["port"] for each in ports}


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_service_selects_pods_of_some_workload(system: str) -> None:
    objects = cluster_objects(system)
    for (kind, namespace, name), each in objects.items():
        if kind == "Service":
            wanted = each["spec"]["selector"].items()
            labels = [
                other["spec"]["template"]["metadata"]["labels"]
                for (_kind, where, _name), other in objects.items()
                if where == namespace and "template" in other.get("spec", {})
            ]
            assert any(wanted <= found.items() for found in labels), name


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_running_image_is_offered_and_a_newer_one_too(system: str) -> None:
    offered = tags()
    for (kind, _namespace, _name), each in cluster_objects(system).items():
        if kind in {"Deployment", "StatefulSet"}:
            for image in containers(each).values():
                repository, _colon, tag = image.removeprefix(HOST).rpartition(":")
                assert tag in offered[repository]
                assert len(offered[repository]) >= 3


def test_portal_universe_goes_out_in_the_order_of_its_runbook() -> None:
    plan = next(each for each in documents("Plan") if each.name == "portal-universe-production")
    assert [wave["services"] for wave in plan.spec["waves"]] == [
        ["config-service"],
        ["auth-service"],
        ["shopping-service", "blog-service"],
        ["notification-service"],
        ["api-gateway"],
        ["design-system"],
        ["portal-shell"],
        ["blog-frontend", "shopping-frontend"],
    ]
    assert plan.spec["expectedMinutes"] == 30
    assert [each["role"] for each in plan.spec["escalation"]] == [
        "DevOps 리드",
        "백엔드 리드",
        "프론트엔드 리드",
    ]


def test_the_practice_images_fail_in_several_ways() -> None:
    images = yaml.safe_load((EXAMPLES / "images.yaml").read_text())
    failing = {_failure(each) for entries in images.values() for each in entries} - {None}
    assert failing == {"CrashLoopBackOff", "ErrImagePull", "NeverReady"}


def test_the_newest_image_of_every_service_works() -> None:
    images = yaml.safe_load((EXAMPLES / "images.yaml").read_text())
    for entries in images.values():
        newest = max(entries, key=lambda each: each["created"])
        assert _failure(newest) is None


def _failure(image: dict[str, Any]) -> str | None:
    failure: str | None = image.get("labels", {}).get("practice/fail")
    return failure
