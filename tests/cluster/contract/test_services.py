"""Services and their EndpointSlices: which pods get the traffic, and how it is switched."""

import pytest

from tests.cluster.api import Json, Refused
from tests.cluster.objects import Space, deployment, failing, service, wait_for


def test_a_service_gets_an_address_and_default_fields(space: Space) -> None:
    made = space.create(service("web", selector={"app": "web"}))
    assert made["spec"]["clusterIP"]
    assert made["spec"]["type"] == "ClusterIP"
    assert made["spec"]["ports"][0]["targetPort"] == 8080


def test_the_slice_of_a_service_names_its_ready_pods(space: Space) -> None:
    space.create(service("web", selector={"app": "web"}))
    space.create(deployment("web", replicas=2))
    space.settle("web")
    endpoints = wait_for(lambda: _when_ready(space, 2), what="two ready endpoints")
    pods = {pod["metadata"]["uid"]: pod["status"]["podIP"] for pod in space.pods("web")}
    assert {each["targetRef"]["uid"]: each["addresses"][0] for each in endpoints} == pods
    [found] = _slices(space)
    assert found["addressType"] == "IPv4"
    assert found["metadata"]["name"].startswith("web-")
    assert found["metadata"]["ownerReferences"][0]["kind"] == "Service"
    port = found["ports"][0]
    assert (port["name"], port["port"], port["protocol"]) == ("http", 8080, "TCP")


def test_pods_that_are_not_ready_are_listed_as_such(space: Space) -> None:
    space.create(service("web", selector={"app": "web"}))
    space.create(deployment("web", pod_annotations=failing("NeverReady")))
    [endpoint] = wait_for(lambda: _endpoints(space), what="an endpoint")
    assert endpoint["conditions"]["ready"] is False


def test_a_service_without_pods_has_no_endpoints(space: Space) -> None:
    space.create(service("web", selector={"app": "web"}))
    [found] = wait_for(lambda: _slices(space), what="a slice")
    assert not found["endpoints"]


def test_the_switch_of_a_selector_moves_all_endpoints(space: Space) -> None:
    for color in ("blue", "green"):
        space.create(deployment(color, replicas=2))
    for color in ("blue", "green"):
        space.settle(color)
    space.create(service("web", selector={"app": "blue"}))
    wait_for(lambda: _targets(space) == _pods(space, "blue"), what="the blue pods")
    version = space.api.get(space.path("endpointslices"))["metadata"]["resourceVersion"]
    space.patch("services", "web", {"spec": {"selector": {"app": "green"}}})
    wait_for(lambda: _targets(space) == _pods(space, "green"), what="the green pods")
    # In one step: no state between had pods of both colours, or none.
    colors = _pods(space, "blue"), _pods(space, "green")
    events = space.api.watch(space.path("endpointslices"), seconds=1, resourceVersion=version)
    assert all(_uids(event["object"]) in colors for event in events)


def test_a_selector_merges_label_by_label_and_loses_what_is_named_with_nothing(space: Space) -> None:
    space.create(service("web", selector={"app": "web", "color": "blue"}))
    patch = {"spec": {"selector": {"color": "green", "canary": None}}}
    space.patch("services", "web", patch, kind="merge")
    assert space.get("services", "web")["spec"]["selector"] == {"app": "web", "color": "green"}
    space.patch("services", "web", {"spec": {"selector": {"color": None}}}, kind="merge")
    assert space.get("services", "web")["spec"]["selector"] == {"app": "web"}


def test_a_switch_that_rests_on_an_old_version_is_a_conflict(space: Space) -> None:
    version = space.create(service("web", selector={"app": "web"}))["metadata"]["resourceVersion"]
    space.patch("services", "web", {"metadata": {"labels": {"changed": "meanwhile"}}})
    body = {"metadata": {"resourceVersion": version}, "spec": {"selector": {"app": "other"}}}
    with pytest.raises(Refused) as refused:
        space.patch("services", "web", body, kind="merge")
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert space.get("services", "web")["spec"]["selector"] == {"app": "web"}


def _slices(space: Space) -> list[Json]:
    return space.find("endpointslices", labelSelector="kubernetes.io/service-name=web")


def _endpoints(space: Space) -> list[Json]:
    return [each for found in _slices(space) for each in found["endpoints"] or []]


def _when_ready(space: Space, count: int) -> list[Json] | None:
    ready = [each for each in _endpoints(space) if each["conditions"]["ready"]]
    return ready if len(ready) == count else None


def _targets(space: Space) -> set[str]:
    return {each["targetRef"]["uid"] for each in _endpoints(space)}


def _uids(found: Json) -> set[str]:
    return {each["targetRef"]["uid"] for each in found["endpoints"] or []}


def _pods(space: Space, color: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in space.pods(color)}
