"""Replicas: the scale subresource, and the bounds of an autoscaler that has no metrics."""

import pytest

from portal.integrations.kubernetes.patches import size_patch
from tests.cluster.api import PATCH_TYPES, Refused
from tests.cluster.contract.autoscaling import autoscaler
from tests.cluster.objects import Space, condition, deployment, stateful_set, wait_for


def test_a_scale_tells_size_and_selector(space: Space) -> None:
    made = space.create(deployment("web", replicas=2))
    space.settle("web")
    scale = space.get("deployments", "web", sub="scale")
    assert (scale["apiVersion"], scale["kind"]) == ("autoscaling/v1", "Scale")
    assert scale["spec"]["replicas"] == 2
    assert scale["status"] == {"replicas": 2, "selector": "app=web"}
    assert scale["metadata"]["uid"] == made["metadata"]["uid"]
    assert "generation" not in scale["metadata"]


@pytest.mark.parametrize("plural", ["deployments", "statefulsets"])
def test_a_scale_is_patched(space: Space, plural: str) -> None:
    space.create(deployment("web") if plural == "deployments" else stateful_set("web"))
    answer = space.patch(plural, "web", {"spec": {"replicas": 3}}, kind="merge", sub="scale")
    assert (answer["kind"], answer["spec"]["replicas"]) == ("Scale", 3)
    assert space.get(plural, "web")["spec"]["replicas"] == 3
    space.wait(plural, "web", lambda seen: seen["status"].get("readyReplicas") == 3)


def test_a_scale_is_replaced_even_without_a_content_type(space: Space) -> None:
    space.create(deployment("web"))
    space.settle("web")
    scale = space.get("deployments", "web", sub="scale")
    scale["spec"]["replicas"] = 2
    path = space.path("deployments", "web", sub="scale")
    assert space.api.call("PUT", path, body=scale, content_type=None)["spec"]["replicas"] == 2
    assert space.get("deployments", "web")["spec"]["replicas"] == 2


def test_a_scale_with_an_old_version_is_a_conflict(space: Space) -> None:
    space.create(deployment("web"))
    space.settle("web")
    scale = space.get("deployments", "web", sub="scale")
    space.patch("deployments", "web", {"metadata": {"labels": {"changed": "meanwhile"}}})
    scale["spec"]["replicas"] = 2
    with pytest.raises(Refused) as refused:
        space.api.replace(space.path("deployments", "web", sub="scale"), scale)
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    body = {"metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]}, "spec": {"replicas": 2}}
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", body, kind="merge", sub="scale")
    assert refused.value.code == 409


def test_a_scale_without_a_version_is_patched_whatever_changes_while_it_arrives(space: Space) -> None:
    space.create(deployment("web"))
    space.settle("web")
    answer = space.api.ask(
        "PATCH",
        space.path("deployments", "web", sub="scale"),
        body={"spec": {"replicas": 3}},
        content_type=PATCH_TYPES["merge"],
        meanwhile=lambda: space.patch(
            "deployments", "web", {"metadata": {"labels": {"changed": "meanwhile"}}}
        ),
    )
    assert (answer.code, answer.body["spec"]["replicas"]) == (200, 3)
    changed = space.get("deployments", "web")
    assert (changed["spec"]["replicas"], changed["metadata"]["labels"]["changed"]) == (3, "meanwhile")


def test_a_size_rests_on_the_size_that_was_seen_and_on_no_version(space: Space) -> None:
    space.create(deployment("web"))
    seen = space.settle("web")
    between = space.patch("deployments", "web", {"metadata": {"labels": {"changed": "meanwhile"}}})
    assert between["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]
    written = space.patch("deployments", "web", size_patch(seen, 2, annotations={"a/b": "1"}), kind="json")
    assert (written["spec"]["replicas"], written["metadata"]["annotations"]["a/b"]) == (2, "1")
    again = {**seen, "metadata": {**seen["metadata"], "uid": "another"}}
    for other in (seen, {**again, "spec": written["spec"]}):
        with pytest.raises(Refused) as refused:
            space.patch("deployments", "web", size_patch(other, 3, annotations={"a/b": "2"}), kind="json")
        assert refused.value.code == 422
    kept = space.get("deployments", "web")
    assert (kept["spec"]["replicas"], kept["metadata"]["annotations"]["a/b"]) == (2, "1")


def test_scaling_to_nothing_and_back_keeps_the_revision(space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.settle("web")
    # By kubectl's rules a Deployment with pods too many is done: here the pods tell, not the rules.
    _scale(space, 0)
    wait_for(lambda: space.pods("web") == [], what="no pods")
    _scale(space, 2)
    assert space.settle("web")["status"]["readyReplicas"] == 2
    assert len(space.replica_sets("web")) == 1


@pytest.mark.parametrize(("start", "end"), [(1, 2), (7, 4)])
def test_an_autoscaler_enforces_its_bounds(space: Space, start: int, end: int) -> None:
    space.create(deployment("web", replicas=start))
    space.create(autoscaler("web", minimum=2, maximum=4))
    space.wait("deployments", "web", lambda seen: seen["spec"]["replicas"] == end)
    seen = space.wait("deployments", "web", lambda seen: seen["status"].get("readyReplicas") == end)
    assert seen["status"]["replicas"] == end


def test_raised_bounds_raise_the_replicas_and_an_old_version_is_a_conflict(space: Space) -> None:
    plural = "horizontalpodautoscalers"
    space.create(deployment("web"))
    seen = space.create(autoscaler("web", minimum=1, maximum=2))
    bounds = {"spec": {"minReplicas": 3, "maxReplicas": 3}}
    space.patch(plural, "web", bounds, kind="merge")
    space.wait("deployments", "web", lambda found: found["spec"]["replicas"] == 3)
    stale = {"metadata": {"resourceVersion": seen["metadata"]["resourceVersion"]}, **bounds}
    with pytest.raises(Refused) as refused:
        space.patch(plural, "web", stale, kind="merge")
    assert refused.value.code == 409


def test_an_autoscaler_without_metrics_says_so(space: Space) -> None:
    space.create(deployment("web", replicas=2))
    space.create(autoscaler("web", minimum=1, maximum=3))
    plural = "horizontalpodautoscalers"
    seen = space.wait(plural, "web", lambda seen: condition(seen, "ScalingActive"))
    active = condition(seen, "ScalingActive")
    assert (active["status"], active["reason"]) == ("False", "FailedGetResourceMetric")
    assert space.get("deployments", "web")["spec"]["replicas"] == 2


def test_an_autoscaler_stands_aside_at_zero(space: Space) -> None:
    space.create(deployment("web", replicas=0))
    space.create(autoscaler("web", minimum=2, maximum=4))
    plural = "horizontalpodautoscalers"
    seen = space.wait(plural, "web", lambda seen: condition(seen, "ScalingActive"))
    assert condition(seen, "ScalingActive")["reason"] == "ScalingDisabled"
    assert space.get("deployments", "web")["spec"]["replicas"] == 0


def _scale(space: Space, replicas: int) -> None:
    space.patch("deployments", "web", {"spec": {"replicas": replicas}}, kind="merge", sub="scale")
