"""The four patch types, as they merge and as they surprise."""

import pytest

from tests.cluster.api import Json, Refused
from tests.cluster.objects import Space, config_map, deployment, image_of, image_patch


def test_a_strategic_patch_changes_one_container_of_two(space: Space) -> None:
    space.create(_two_containers())
    patched = space.patch("deployments", "web", image_patch("registry.test/web:2"))
    assert _images(patched) == {"web": "registry.test/web:2", "side": "registry.test/side:1"}


def test_the_patch_of_kubectl_set_image_is_understood(space: Space) -> None:
    space.create(_two_containers())
    order = [{"name": "web"}, {"name": "side"}]
    containers = [{"name": "side", "image": "registry.test/side:2"}]
    body = {"spec": {"template": {"spec": {"$setElementOrder/containers": order, "containers": containers}}}}
    patched = space.patch("deployments", "web", body, fieldManager="kubectl-set")
    assert _images(patched) == {"web": "registry.test/web:1", "side": "registry.test/side:2"}
    assert [each["name"] for each in patched["spec"]["template"]["spec"]["containers"]] == ["web", "side"]


def test_a_strategic_patch_with_an_unknown_name_adds_a_container(space: Space) -> None:
    space.create(deployment("web"))
    patched = space.set_image("web", "registry.test/web:2", container="wbe")
    assert _images(patched) == {"web": "registry.test/web:1", "wbe": "registry.test/web:2"}


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["wbe"], ["wbe", "web", "side"]),
        (["side", "wbe"], ["web", "side", "wbe"]),
        (["side", "web"], ["side", "web"]),
    ],
)
def test_a_strategic_patch_orders_what_it_names(space: Space, names: list[str], order: list[str]) -> None:
    space.create(_two_containers())
    containers = [{"name": name, "image": "registry.test/web:2"} for name in names]
    patched = space.patch("deployments", "web", {"spec": {"template": {"spec": {"containers": containers}}}})
    assert [each["name"] for each in patched["spec"]["template"]["spec"]["containers"]] == order


def test_a_strategic_patch_with_an_unknown_name_and_no_image_is_refused(space: Space) -> None:
    space.create(deployment("web"))
    body = {"spec": {"template": {"spec": {"containers": [{"name": "wbe", "workingDir": "/"}]}}}}
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", body)
    assert refused.value.code == 422
    assert refused.value.causes[0]["field"] == "spec.template.spec.containers[0].image"


def test_a_strategic_patch_merges_variables_by_name(space: Space) -> None:
    space.create(deployment("web"))
    for variables in (
        [{"name": "A", "value": "1"}],
        [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}],
    ):
        patched = space.patch("deployments", "web", _container({"env": variables}))
    values = {each["name"]: each["value"] for each in _first_container(patched)["env"]}
    assert values == {"A": "3", "B": "2"}


def test_a_strategic_patch_deletes_an_element_by_name(space: Space) -> None:
    space.create(_two_containers())
    body = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    assert set(_images(space.patch("deployments", "web", body))) == {"web"}


def test_null_removes_a_key(space: Space) -> None:
    space.create(deployment("web", annotations={"keep": "1", "drop": "2"}))
    patched = space.patch("deployments", "web", {"metadata": {"annotations": {"drop": None}}})
    assert "drop" not in patched["metadata"]["annotations"]
    assert patched["metadata"]["annotations"]["keep"] == "1"


def test_a_merge_patch_replaces_a_list_as_a_whole(space: Space) -> None:
    space.create(_two_containers())
    patched = space.patch("deployments", "web", image_patch("registry.test/web:2"), kind="merge")
    assert _images(patched) == {"web": "registry.test/web:2"}


def test_a_service_changes_its_selector_in_one_patch(space: Space) -> None:
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    space.create({**body, "spec": {"selector": {"app": "web", "color": "blue"}, "ports": [{"port": 80}]}})
    patched = space.patch("services", "web", {"spec": {"selector": {"color": "green"}}})
    assert patched["spec"]["selector"] == {"app": "web", "color": "green"}


def test_a_json_patch_changes_what_its_paths_name(space: Space) -> None:
    space.create(deployment("web", annotations={"portal.test/step": "1"}))
    operations = [
        {"op": "test", "path": "/spec/template/spec/containers/0/name", "value": "web"},
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "registry.test/web:2"},
        {"op": "add", "path": "/metadata/annotations/portal.test~1step", "value": "2"},
    ]
    patched = space.patch("deployments", "web", operations, kind="json")
    assert image_of(patched) == "registry.test/web:2"
    assert patched["metadata"]["annotations"]["portal.test/step"] == "2"


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/spec/replicas", "value": 9},
        {"op": "replace", "path": "/spec/nothing/here", "value": 1},
        {"op": "remove", "path": "/metadata/annotations/nothing"},
    ],
    ids=["failing test", "wrong path", "nothing to remove"],
)
def test_a_json_patch_that_does_not_fit_is_invalid_without_causes(space: Space, operation: Json) -> None:
    space.create(deployment("web"))
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 3}, operation]
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", operations, kind="json")
    assert (refused.value.code, refused.value.reason, refused.value.causes) == (422, "Invalid", [])
    assert space.get("deployments", "web")["spec"]["replicas"] == 1


def test_a_patch_type_nobody_knows_is_refused(space: Space) -> None:
    space.create(config_map("settings"))
    path = space.path("configmaps", "settings")
    answer = space.api.ask("PATCH", path, body={"data": {"a": "1"}}, content_type="application/json")
    assert (answer.code, answer.body["reason"]) == (415, "UnsupportedMediaType")


def test_image_and_annotations_change_in_one_write(space: Space) -> None:
    space.create(deployment("web"))
    seen = space.settle("web")["metadata"]
    metadata = {"resourceVersion": seen["resourceVersion"], "uid": seen["uid"]}
    metadata["annotations"] = {"kubernetes.io/change-cause": "release 7"}
    patched = space.patch("deployments", "web", {"metadata": metadata, **image_patch("registry.test/web:2")})
    assert image_of(patched) == "registry.test/web:2"
    assert patched["metadata"]["annotations"]["kubernetes.io/change-cause"] == "release 7"


def test_a_patch_that_changes_nothing_writes_nothing(space: Space) -> None:
    made = space.create(config_map("settings", a="1"))
    patched = space.patch("configmaps", "settings", {"data": {"a": "1"}})
    assert patched["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


def _two_containers() -> Json:
    body = deployment("web")
    body["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "registry.test/side:1"})
    return body


def _container(fields: Json) -> Json:
    return {"spec": {"template": {"spec": {"containers": [{"name": "web", **fields}]}}}}


def _first_container(seen: Json) -> Json:
    return dict(seen["spec"]["template"]["spec"]["containers"][0])


def _images(seen: Json) -> dict[str, str]:
    return {each["name"]: each["image"] for each in seen["spec"]["template"]["spec"]["containers"]}
