"""A canary of two colours that take turns: the one at rest gets the version and, share by share, all pods."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.utils import translation

from releases.catalog.models import Running
from releases.rollouts import plans
from releases.rollouts.canary_share import share_text
from releases.rollouts.colours import colours_of
from releases.rollouts.findings.comparing import look
from releases.rollouts.models import Rollout
from releases.rollouts.running import View
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.dying import dying, outlived
from tests.cluster.objects import deployment, failing
from tests.rollouts.floor import Floor, drive, why
from tests.soak import long

ENDS = ("failed", "succeeded", "paused", "rolled_back", "rollback_failed")
NAMES = ("api-blue", "api-green")
OLD = "registry.test/floor/api:1.0.0"


def in_turns(
    lay_floor: Lay, *, sizes: Sequence[int] = (10, 0), steps: Sequence[int] = (10, 20, 50, 100), **idle: Any
) -> Floor:
    """A floor whose service stands twice behind the same Services."""
    floor = lay_floor(objects={"api": deployment("api", image=OLD, replicas=0)})
    for name, size in zip(NAMES, sizes, strict=True):
        floor.space.create(deployment(name, image=OLD, replicas=size, **({} if size else idle)))
        floor.space.settle(name)
    own = floor.services["api"]
    own.spec = {
        "workloads": [
            {"kind": "Deployment", "name": name, "containers": ["web"], "colour": name.removeprefix("api-")}
            for name in NAMES
        ],
        "colours": {"by": "pods"},
    }
    own.save(update_fields=["spec"])
    floor.plan.spec |= {"canary": {"by": "pods", "steps": list(steps)}, "onFailure": "rollback"}
    floor.plan.save(update_fields=["spec"])
    return floor


def standing(floor: Floor) -> dict[str, tuple[int, str]]:
    """The size of each colour and the last of its image."""
    found = {name: floor.space.get("deployments", name)["spec"] for name in NAMES}
    return {name: (int(spec["replicas"]), floor.image(name)[-6:]) for name, spec in found.items()}


def scaled(rollout: Rollout, direction: str = "forward") -> list[tuple[str, int]]:
    """What was scaled to what, in its order."""
    kinds = ("scale", "restore_scale")
    steps = rollout.steps.filter(direction=direction, kind__in=kinds, acted__isnull=False)
    return [(each.params["workload"]["name"], (each.acted or {})["bounds"][0]) for each in steps]


@long
def test_the_one_that_rests_takes_over_and_the_next_release_goes_the_other_way(lay_floor: Lay) -> None:
    floor = in_turns(lay_floor)
    assert not [step.error for step in plans.preview(floor.release()).errors]
    rollout = drive(floor.start(), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    new = floor.wanted("api", "2.0.0")
    assert standing(floor) == {"api-blue": (0, ":1.0.0"), "api-green": (10, new[-6:])}
    assert scaled(rollout) == [
        ("api-green", 1),
        ("api-green", 2),
        ("api-blue", 9),
        ("api-green", 5),
        ("api-blue", 8),
        ("api-green", 10),
        ("api-blue", 5),
        ("api-blue", 0),
    ]
    following = drive(floor.start("3.0.0"), *ENDS, seconds=90)
    assert following.state == "succeeded", why(following)
    newest = floor.wanted("api", "3.0.0")
    assert standing(floor) == {"api-blue": (10, newest[-6:]), "api-green": (0, new[-6:])}
    floor.order(following, "rollback")
    drive(following, "rolled_back", "rollback_failed", "paused", seconds=60)
    assert following.state == "rolled_back", why(following)
    assert standing(floor) == {"api-blue": (0, ":1.0.0"), "api-green": (10, new[-6:])}
    # The colour that had been left gets its pods before the other one gives them up.
    assert scaled(following, "back") == [("api-green", 10), ("api-blue", 0)]
    # What runs again is read back, not only what was written.
    found = [
        digest for each in (following.verdict or {})["services"] for digest in each["found"].get("web", [])
    ]
    assert [f"{floor.services['api'].image}@{digest}" for digest in found] == [new]


@long
def test_a_version_that_cannot_start_is_named_in_seconds_and_taken_back(lay_floor: Lay) -> None:
    floor = in_turns(lay_floor, sizes=(4, 0), pod_annotations=failing("ErrImagePull"))
    rollout = drive(floor.start(), *ENDS, seconds=60)
    assert rollout.state == "rolled_back", why(rollout)
    failed = rollout.steps.get(failure__isnull=False)
    # Whichever sees its pods first: the wait for the new template goes on while the first of them come.
    assert failed.key in {"1.api.canary.wait_rollout", "1.api.canary.10.scale"}
    assert (failed.failure or {})["code"] == "ErrImagePull"
    assert standing(floor) == {"api-blue": (4, ":1.0.0"), "api-green": (0, ":1.0.0")}


@long
def test_a_worker_that_dies_at_a_size_leaves_what_the_next_one_ends(
    lay_floor: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = in_turns(lay_floor, sizes=(0, 4), steps=(50, 100))
    rollout = outlived(floor, dying(monkeypatch, "scale"))
    assert rollout.state == "succeeded", why(rollout)
    assert {name: size for name, (size, _image) in standing(floor).items()} == {"api-blue": 4, "api-green": 0}


@long
def test_the_last_old_pods_do_not_go_for_a_canary_that_has_none(lay_floor: Lay) -> None:
    floor = in_turns(lay_floor, sizes=(2, 0), steps=(100,))
    rollout = floor.start()
    floor.order(rollout, "pause")
    drive(rollout, "paused")
    floor.order(rollout, "skip", step=rollout.steps.get(key="1.api.canary.100.scale"), reason="By hand.")
    floor.order(rollout, "resume")
    drive(rollout, *ENDS, seconds=60)
    assert rollout.state == "rolled_back", why(rollout)
    failed = rollout.steps.get(failure__isnull=False)
    assert (failed.key, (failed.failure or {})["code"]) == ("1.api.canary.100.stable", "no_ready_pods")
    assert standing(floor) == {"api-blue": (2, ":1.0.0"), "api-green": (0, ":1.0.0")}


@long
@pytest.mark.parametrize("sizes", [(2, 2), (0, 0)])
def test_nothing_is_changed_where_it_is_not_one_of_them_that_has_pods(
    lay_floor: Lay, sizes: tuple[int, int]
) -> None:
    floor = in_turns(lay_floor, sizes=sizes)
    [error] = plans.preview(floor.release()).errors
    assert all(f"{name}: {size}" in error.error for name, size in zip(NAMES, sizes, strict=True))
    rollout = drive(floor.start(), *ENDS, seconds=60)
    failed = rollout.steps.get(failure__isnull=False)
    assert (failed.kind, (failed.failure or {})["code"]) == ("find_colours", "colours_both")
    assert not rollout.steps.filter(acted__isnull=False).exists()


@long
@translation.override("en")
def test_pages_say_who_has_the_pods_and_the_board_what_runs(lay_floor: Lay) -> None:
    floor = in_turns(lay_floor, sizes=(4, 0), steps=(50, 100))
    rollout = drive(floor.start(), *ENDS, seconds=90)
    assert rollout.state == "succeeded", why(rollout)
    steps = list(rollout.steps.select_related("service").order_by("position"))
    [colours] = colours_of(steps)
    assert [(tile.colour, tile.size, tile.is_live) for tile in colours.tiles] == [
        ("blue", "0", False),
        ("green", "4", True),
    ]
    assert share_text(steps) == "canary 100 %: 4 of 4 pods"
    workloads = {("Deployment", name): floor.space.get("deployments", name) for name in NAMES}
    service = floor.services["api"]
    look(floor.environment, View(workloads=workloads, pods=floor.space.find("pods")))
    seen = Running.objects.get(service=service).seen
    # What the other colour still asks for runs nowhere.
    assert (seen["version"], seen["ready"], seen["wanted"], seen["health"]) == ("2.0.0", 4, 4, "healthy")
    assert list(seen["workloads"]) == ["Deployment/api-green"]
