"""Routes of the Gateway API: the weights of their backends, as the portal reads and writes them."""

import pytest

from tests.cluster.api import Json, Refused
from tests.cluster.objects import Space, http_route

pytestmark = pytest.mark.usefixtures("gateway_api")


def weights(route: Json) -> list[dict[str, int]]:
    return [{each["name"]: each["weight"] for each in rule["backendRefs"]} for rule in route["spec"]["rules"]]


def test_a_route_gets_what_its_definition_fills_in(space: Space) -> None:
    bare: Json = {**http_route("web"), "spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]}}
    made = space.create(bare)
    [rule] = made["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
    assert rule["backendRefs"] == [{"group": "", "kind": "Service", "name": "web", "port": 80, "weight": 1}]
    assert made["metadata"]["generation"] == 1


def test_weights_change_with_the_rules_as_a_whole_and_count_a_generation(space: Space) -> None:
    made = space.create(http_route("web", {"web": 100, "canary": 0}, {"other": 1}))
    rules = made["spec"]["rules"]
    for backend, weight in zip(rules[0]["backendRefs"], (80, 20), strict=True):
        backend["weight"] = weight
    version = made["metadata"]["resourceVersion"]
    body: Json = {"metadata": {"resourceVersion": version}, "spec": {"rules": rules}}
    after = space.patch("httproutes", "web", body, kind="merge")
    assert weights(after) == [{"web": 80, "canary": 20}, {"other": 1}]
    assert after["metadata"]["generation"] == 2
    with pytest.raises(Refused) as refused:
        space.patch("httproutes", "web", body, kind="merge")
    assert refused.value.code == 409
    # A list of a custom resource is replaced, never merged.
    space.patch("httproutes", "web", {"spec": {"rules": rules[1:]}}, kind="merge")
    assert weights(space.get("httproutes", "web")) == [{"other": 1}]


def test_a_strategic_patch_is_not_for_custom_resources(space: Space) -> None:
    space.create(http_route("web", {"web": 1}))
    with pytest.raises(Refused) as refused:
        space.patch("httproutes", "web", {"spec": {"hostnames": ["a.example"]}}, kind="strategic")
    assert refused.value.code == 415


@pytest.mark.parametrize("weight", [-1, 1_000_001])
def test_a_weight_out_of_bounds_is_refused_by_its_field(space: Space, weight: int) -> None:
    with pytest.raises(Refused) as refused:
        space.create(http_route("web", {"web": weight}))
    assert refused.value.code == 422
    assert "spec.rules[0].backendRefs[0].weight" in str(refused.value)


def test_a_service_without_a_port_is_refused(space: Space) -> None:
    bare: Json = {**http_route("web"), "spec": {"rules": [{"backendRefs": [{"name": "web"}]}]}}
    with pytest.raises(Refused) as refused:
        space.create(bare)
    assert refused.value.code == 422
    assert "Must have port for Service reference" in str(refused.value)


def test_a_change_of_the_status_leaves_the_generation(space: Space) -> None:
    space.create(http_route("web", {"web": 1}))
    accepted = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    parent = {"controllerName": "test.example/gateway", "parentRef": {"name": "a"}, "conditions": [accepted]}
    body = {"status": {"parents": [parent]}}
    after = space.patch("httproutes", "web", body, kind="merge", sub="status")
    assert after["metadata"]["generation"] == 1
    assert after["status"]["parents"][0]["conditions"][0]["observedGeneration"] == 1
