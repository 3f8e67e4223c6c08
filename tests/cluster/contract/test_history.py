"""Revisions: what a Deployment remembers, and how to go back without losing anything."""

from typing import Any

import pytest

from tests.cluster.api import Json, Refused
from tests.cluster.objects import Space, deployment, image_of, image_patch, revision

CAUSE = "kubernetes.io/change-cause"
HISTORY = "deployment.kubernetes.io/revision-history"


def test_each_template_gets_a_replica_set_and_a_revision(space: Space) -> None:
    _roll(space, 1, 2, 3)
    found = [(revision(each), image_of(each), each["spec"]["replicas"]) for each in space.replica_sets("web")]
    assert found == [(1, _image(1), 0), (2, _image(2), 0), (3, _image(3), 1)]
    assert revision(space.get("deployments", "web")) == 3


def test_annotations_and_scaling_make_no_revision(space: Space) -> None:
    _roll(space, 1)
    space.patch("deployments", "web", {"metadata": {"annotations": {"portal.test/step": "1"}}})
    space.patch("deployments", "web", {"spec": {"replicas": 2}}, kind="merge", sub="scale")
    assert revision(space.settle("web")) == 1
    assert len(space.replica_sets("web")) == 1


def test_an_old_template_finds_its_replica_set_again(space: Space) -> None:
    _roll(space, 1, 2)
    first = space.replica_sets("web")[0]["metadata"]
    space.set_image("web", _image(1))
    space.settle("web")
    older, newest = space.replica_sets("web")
    assert newest["metadata"]["uid"] == first["uid"]
    assert (revision(older), revision(newest)) == (2, 3)
    assert newest["metadata"]["annotations"][HISTORY] == "1"


def test_our_undo_puts_the_old_template_back_and_keeps_the_annotations(space: Space) -> None:
    _roll(space, 1, 2)
    first = space.replica_sets("web")[0]
    space.patch("deployments", "web", {"metadata": {"annotations": {"portal.test/keep": "yes"}}})
    before = space.settle("web")
    undone = space.patch(
        "deployments", "web", _undo(before, first), kind="json", fieldManager="release-portal"
    )
    assert image_of(undone) == _image(1)
    after = space.settle("web")
    annotations = after["metadata"]["annotations"]
    assert (annotations["portal.test/keep"], annotations["portal.test/rollout"]) == ("yes", "undo of 2")
    assert revision(after) == 3
    newest = space.replica_sets("web")[-1]
    assert newest["metadata"]["uid"] == first["metadata"]["uid"]
    assert len(space.replica_sets("web")) == 2


def test_our_undo_is_a_conflict_when_somebody_was_faster(space: Space) -> None:
    _roll(space, 1, 2)
    first, before = space.replica_sets("web")[0], space.settle("web")
    space.set_image("web", _image(3))
    with pytest.raises(Refused) as refused:
        space.patch("deployments", "web", _undo(before, first), kind="json")
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert image_of(space.get("deployments", "web")) == _image(3)


def test_the_cause_set_with_the_image_belongs_to_the_new_revision(space: Space) -> None:
    space.create(deployment("web", image=_image(1), annotations={CAUSE: "release 1"}))
    space.settle("web")
    body = {"metadata": {"annotations": {CAUSE: "release 2"}}, **image_patch(_image(2))}
    space.patch("deployments", "web", body)
    space.settle("web")
    causes = [each["metadata"]["annotations"][CAUSE] for each in space.replica_sets("web")]
    assert causes == ["release 1", "release 2"]


def test_a_cause_set_before_the_image_overwrites_the_old_one(space: Space) -> None:
    space.create(deployment("web", image=_image(1), annotations={CAUSE: "release 1"}))
    space.settle("web")
    space.patch("deployments", "web", {"metadata": {"annotations": {CAUSE: "release 2"}}})
    seen = space.settle("web")
    assert seen["status"]["observedGeneration"] == seen["metadata"]["generation"]
    [only] = space.replica_sets("web")
    assert only["metadata"]["annotations"][CAUSE] == "release 2"


def test_revisions_beyond_the_limit_are_forgotten(space: Space) -> None:
    _roll(space, 1, 2, 3, revisionHistoryLimit=1)

    def pruned(_: Json) -> bool:
        return [revision(each) for each in space.replica_sets("web")] == [2, 3]

    space.wait("deployments", "web", pruned)


def _roll(space: Space, *versions: int, **spec: Any) -> None:
    """Create Deployment `web` with the first version and roll out the others, one after the other."""
    first, *others = versions
    space.create(deployment("web", image=_image(first), **spec))
    space.settle("web")
    for version in others:
        space.set_image("web", _image(version))
        space.settle("web")


def _image(version: int) -> str:
    return f"registry.test/web:{version}"


def _undo(before: Json, target: Json) -> list[Json]:
    """Return the portal's way back: guarded by the version, and touching no annotation but its own."""
    template = target["spec"]["template"]
    labels = {key: text for key, text in template["metadata"]["labels"].items() if key != "pod-template-hash"}
    template = {**template, "metadata": {**template["metadata"], "labels": labels}}
    version = before["metadata"]["resourceVersion"]
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "add", "path": "/metadata/annotations/portal.test~1rollout", "value": "undo of 2"},
    ]
