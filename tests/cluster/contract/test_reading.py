"""Getting, listing and watching: what the portal sees is what is there, in order."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.cluster.api import Json, Refused
from tests.cluster.conftest import Cluster
from tests.cluster.objects import Space, config_map, deployment, wait_for


def test_an_object_carries_its_identity(space: Space) -> None:
    space.create(deployment("web"))
    seen = space.get("deployments", "web")
    assert (seen["apiVersion"], seen["kind"]) == ("apps/v1", "Deployment")
    metadata = seen["metadata"]
    assert metadata["namespace"] == space.name
    assert all(metadata[key] for key in ("uid", "resourceVersion", "creationTimestamp", "generation"))


def test_a_new_deployment_gets_the_defaults_of_its_kind(space: Space) -> None:
    spec = space.create(deployment("web"))["spec"]
    assert spec["progressDeadlineSeconds"] == 600
    assert spec["revisionHistoryLimit"] == 10
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert spec["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


def test_an_image_without_a_tag_is_always_pulled(space: Space) -> None:
    made = space.create(deployment("web", image="registry.test/web"))
    assert made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "Always"


def test_a_new_object_has_a_new_uid_under_the_same_name(space: Space) -> None:
    first = space.create(config_map("settings"))["metadata"]["uid"]
    space.delete("configmaps", "settings")
    assert space.create(config_map("settings"))["metadata"]["uid"] != first


def test_a_list_has_a_kind_and_a_version(space: Space) -> None:
    answer = space.api.get(space.path("deployments"))
    assert answer["kind"] == "DeploymentList"
    assert answer["metadata"]["resourceVersion"]
    assert answer["items"] == []


def test_a_list_is_of_one_namespace_or_of_all(space: Space) -> None:
    space.create(config_map("mine"))
    everywhere = space.api.get("api/v1/configmaps")["items"]
    places = {(each["metadata"]["namespace"], each["metadata"]["name"]) for each in everywhere}
    assert (space.name, "mine") in places
    assert {each["metadata"]["namespace"] for each in space.find("configmaps")} == {space.name}


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("tier=front", ["a", "b"]),
        ("tier==front,name=b", ["b"]),
        ("tier!=front", ["c", "d"]),
        ("tier in (front, back)", ["a", "b", "c"]),
        ("tier notin (front)", ["c", "d"]),
        ("tier", ["a", "b", "c"]),
        ("!tier", ["d"]),
    ],
)
def test_a_label_selector_chooses(space: Space, selector: str, names: list[str]) -> None:
    for name, tier in {"a": "front", "b": "front", "c": "back", "d": None}.items():
        labels = {"name": name, "ours": "yes"} | ({"tier": tier} if tier else {})
        body = config_map(name)
        space.create({**body, "metadata": {"name": name, "labels": labels}})
    found = space.find("configmaps", labelSelector=f"ours=yes,{selector}")
    assert sorted(each["metadata"]["name"] for each in found) == names


def test_a_field_selector_chooses_by_name(space: Space) -> None:
    space.create(config_map("one"))
    space.create(config_map("two"))
    found = space.find("configmaps", fieldSelector="metadata.name=two")
    assert [each["metadata"]["name"] for each in found] == ["two"]


def test_pods_are_chosen_by_phase(space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.wait_until_done("web")
    assert len(space.find("pods", fieldSelector="status.phase=Running")) == 2
    assert space.find("pods", fieldSelector="status.phase=Pending") == []


def test_events_are_chosen_by_the_object_they_are_about(space: Space) -> None:
    for name in ("one", "two"):
        space.create(deployment(name))
    selector = "involvedObject.kind=Deployment,involvedObject.name=one"
    events = wait_for(lambda: space.find("events", fieldSelector=selector), what="events of deployment one")
    assert {event["involvedObject"]["name"] for event in events} == {"one"}


def test_a_long_list_comes_in_pieces(space: Space) -> None:
    for number in range(5):
        space.create(
            {**config_map(f"c{number}"), "metadata": {"name": f"c{number}", "labels": {"ours": "yes"}}}
        )
    names: list[str] = []
    token = ""
    while True:
        query = {"limit": 2, "labelSelector": "ours=yes"} | ({"continue": token} if token else {})
        piece = space.api.get(space.path("configmaps"), **query)
        assert len(piece["items"]) <= 2
        names += [each["metadata"]["name"] for each in piece["items"]]
        token = piece["metadata"].get("continue", "")
        if not token:
            break
    assert names == [f"c{number}" for number in range(5)]


def test_version_zero_asks_for_any_state(space: Space) -> None:
    space.create(config_map("mine"))
    found = wait_for(
        lambda: space.find("configmaps", resourceVersion=0, fieldSelector="metadata.name=mine"),
        what="the object in a list from the cache",
    )
    assert len(found) == 1


def test_a_watch_tells_a_life_in_order(space: Space) -> None:
    version = _version(space, "configmaps")
    space.create(config_map("settings", a="1"))
    space.patch("configmaps", "settings", {"data": {"a": "2"}}, kind="merge")
    space.delete("configmaps", "settings")
    selector = "metadata.name=settings"
    events = _watch(space, "configmaps", resourceVersion=version, fieldSelector=selector, count=3)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert [event["object"]["data"]["a"] for event in events] == ["1", "2", "2"]
    versions = [event["object"]["metadata"]["resourceVersion"] for event in events]
    assert all(before != after for before, after in pairwise(versions))
    assert all(event["object"]["kind"] == "ConfigMap" for event in events)


def test_a_watch_goes_on_from_the_version_of_an_event(space: Space) -> None:
    space.create(config_map("settings", a="1"))
    second = space.patch("configmaps", "settings", {"data": {"a": "2"}}, kind="merge")
    space.patch("configmaps", "settings", {"data": {"a": "3"}}, kind="merge")
    version = second["metadata"]["resourceVersion"]
    [event] = _watch(space, "configmaps", resourceVersion=version, count=1)
    assert event["object"]["data"] == {"a": "3"}


def test_a_watch_without_a_version_begins_with_what_is_there(space: Space) -> None:
    space.create(config_map("settings", a="1"))
    [event] = _watch(space, "configmaps", fieldSelector="metadata.name=settings", count=1)
    assert (event["type"], event["object"]["data"]) == ("ADDED", {"a": "1"})


def test_a_watch_ends_when_its_time_is_over(space: Space) -> None:
    version = _version(space, "configmaps")
    query: Json = {"resourceVersion": version, "allowWatchBookmarks": "true"}
    events = list(space.api.watch(space.path("configmaps"), seconds=1, **query))
    # A real cluster publishes its CA into each new namespace, in its own time.
    ours = [event for event in events if event["object"]["metadata"].get("name") != "kube-root-ca.crt"]
    assert {event["type"] for event in ours} <= {"BOOKMARK"}


def test_a_watch_from_a_version_too_old_is_refused_with_gone(space: Space) -> None:
    space.create(config_map("settings"))
    assert _gone(space) == 410
    assert space.get("configmaps", "settings")


def test_a_list_of_the_future_is_refused(space: Space) -> None:
    with pytest.raises(Refused) as refused:
        space.find("configmaps", resourceVersion=10**9)
    assert refused.value.code == 504
    assert refused.value.causes[0]["reason"] == "ResourceVersionTooLarge"


def test_the_limited_account_may_watch(space: Space, cluster: Cluster) -> None:
    space.create(deployment("web"))
    [event] = _watch(space.seen_by(cluster.limited), "deployments", count=1)
    assert event["object"]["metadata"]["name"] == "web"


def _version(space: Space, plural: str) -> str:
    return str(space.api.get(space.path(plural))["metadata"]["resourceVersion"])


def _watch(space: Space, plural: str, *, count: int, **query: str) -> list[Json]:
    """Return the first events that are not bookmarks."""
    return list(_first(space.api.watch(space.path(plural), seconds=10, **query), count))


def _first(events: Iterator[Json], count: int) -> Iterator[Json]:
    for event in events:
        if event["type"] == "BOOKMARK":
            continue
        yield event
        count -= 1
        if not count:
            return


def _gone(space: Space) -> int:
    """Return the code that a watch from the first version gets, as an answer or as an event."""
    try:
        event = next(space.api.watch(space.path("configmaps"), seconds=5, resourceVersion=1))
    except Refused as refused:
        return refused.code
    assert event["type"] == "ERROR"
    assert event["object"]["reason"] in {"Expired", "Gone"}
    return int(event["object"]["code"])
