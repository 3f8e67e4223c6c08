"""Blue-green in one plan: the idle colour found and grown with its view, signed off, switched, and back."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from releases.rollouts import engine, plans
from releases.rollouts.models import Rollout
from tests.cluster.api import Json
from tests.cluster.conftest import Cluster
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import deployment, failing, service
from tests.factories import sign_off
from tests.rollouts.floor import Floor, drive, why
from tests.soak import long

ENDS = ("failed", "succeeded", "paused", "awaiting_signoff", "rolled_back", "rollback_failed")
NAMES = ["shop", "shop-admin"]
VIEW: Json = {"kind": "cluster_view", "stableSeconds": 1, "timeoutSeconds": 20}
CHECKS = (VIEW,)
MARKS = (
    ("silent", "paused", "view_silent"),
    ("swings", "failed", "view_swings"),
    ("split", "failed", "view_differs"),
)


@pytest.fixture(scope="module")
def cluster(answering_cluster: Cluster) -> Cluster:
    """Pods are asked here."""
    return answering_cluster


def colour(name: str, *, replicas: int, **options: Any) -> Json:
    """The Deployment of one colour, whose pods are members of one cluster."""
    made = deployment(name, image="registry.test/floor/shop:1.0.0", replicas=replicas, **options)
    made["spec"]["template"]["metadata"]["labels"]["color"] = name
    [container] = made["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": "JGROUPS_CLUSTER", "value": "shop"}]
    return made


def two_colours(lay_floor: Lay, *, live: str = "blue", checks: Sequence[Json] = CHECKS, **idle: Any) -> Floor:
    """A service in two colours, its traffic on one of them, and the plan that leads it to the other."""
    floor = lay_floor(services=("shop",), objects={"shop": deployment("shop", replicas=0)})
    for name in ("blue", "green"):
        options = {} if name == live else idle
        floor.space.create(colour(name, replicas=3 if name == live else 0, **options))
        floor.space.settle(name)
    for name in NAMES:
        floor.space.create(service(name, selector={"color": live}))
    shop = floor.services["shop"]
    shop.spec = {
        "workloads": [
            {"kind": "Deployment", "name": name, "containers": ["web"], "colour": name}
            for name in ("blue", "green")
        ],
        "colours": {"label": "color", "services": NAMES},
        "clusterView": {"kind": "jgroups", "port": 80, "members": "all"},
    }
    shop.save(update_fields=["spec"])
    grow = {"kind": "scale", "service": "shop", "colour": "idle", "replicas": [2, 3], "settleSeconds": 0}
    grow |= {"checks": list(checks)} if checks else {}
    floor.plan.spec |= {
        "waves": [{"title": "Grow", "services": ["shop"], "after": [grow]}],
        "each": [
            {"kind": "set_image", "colour": "idle"},
            {"kind": "wait_rollout", "colour": "idle", "settleSeconds": 0},
        ],
        "switch": [
            {"title": "Switch", "steps": [{"kind": "switch_service", "service": "shop", "colour": "idle"}]},
            {
                "title": "Shrink",
                "steps": [
                    {"kind": "watch", "service": "shop", "seconds": 1},
                    {"kind": "scale", "service": "shop", "colour": "live", "replicas": [1, 0]},
                ],
            },
        ],
    }
    floor.plan.save(update_fields=["spec"])
    return floor


def standing(floor: Floor) -> tuple[str, dict[str, int]]:
    """The colour that has the traffic, and how many pods each colour asks for."""
    [live] = {floor.space.get("services", name)["spec"]["selector"]["color"] for name in NAMES}
    sizes = {name: floor.space.get("deployments", name)["spec"]["replicas"] for name in ("blue", "green")}
    return live, sizes


def verified(floor: Floor) -> Rollout:
    """A rollout that has grown the idle colour and waits for the sign-off."""
    rollout = drive(floor.start(), *ENDS)
    assert rollout.state == "awaiting_signoff", why(rollout)
    return rollout


@long
@pytest.mark.parametrize(("live", "idle"), [("blue", "green"), ("green", "blue")])
def test_one_plan_serves_both_directions(lay_floor: Lay, live: str, idle: str) -> None:
    floor = two_colours(lay_floor, live=live)
    rollout = verified(floor)
    assert standing(floor) == (live, {live: 3, idle: 3})
    assert floor.image(live).endswith(":1.0.0")
    sign_off(rollout.release)
    drive(rollout, *set(ENDS) - {"awaiting_signoff"})
    assert rollout.state == "succeeded", why(rollout)
    assert standing(floor) == (idle, {live: 0, idle: 3})
    assert floor.image(idle) == f"registry.test/floor/shop@{rollout.release.items.get().digest}"
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed", "paused")
    assert rollout.state == "rolled_back", why(rollout)
    assert standing(floor) == (live, {live: 3, idle: 0})


@long
def test_while_the_old_colour_stands_the_traffic_goes_back_first(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor)
    floor.plan.spec["switch"][1]["steps"][0]["seconds"] = 600
    floor.plan.save(update_fields=["spec"])
    rollout = verified(floor)
    sign_off(rollout.release)
    while not rollout.steps.filter(kind="watch", state="running").exists():
        engine.advance(rollout.pk)
    assert standing(floor) == ("green", {"blue": 3, "green": 3})
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed", "paused")
    back = list(rollout.steps.filter(direction="back").order_by("position").values_list("kind", flat=True))
    assert (rollout.state, back[0]) == ("rolled_back", "restore_services")
    assert standing(floor) == ("blue", {"blue": 3, "green": 0})


@long
def test_the_colour_that_kept_the_traffic_as_its_switch_was_skipped_keeps_its_pods(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor, checks=())
    rollout = floor.start()
    engine.advance(rollout.pk)
    floor.order(rollout, "skip", step=rollout.steps.get(kind="switch_service"), reason="by hand, tomorrow")
    drive(rollout, *ENDS)
    sign_off(rollout.release)
    drive(rollout, *set(ENDS) - {"awaiting_signoff"})
    assert rollout.state == "succeeded", why(rollout)
    assert standing(floor) == ("blue", {"blue": 3, "green": 3})
    shrunk = rollout.steps.filter(kind="scale", params__cleanup=True)
    assert {(each.failure or {})["code"] for each in shrunk} == {"has_traffic"}


@long
def test_nor_does_a_way_back_take_the_pods_of_the_colour_that_keeps_it(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor, checks=())
    rollout = verified(floor)
    sign_off(rollout.release)
    drive(rollout, *set(ENDS) - {"awaiting_signoff"})
    floor.order(rollout, "rollback")
    drive(rollout, "rolling_back")
    floor.order(rollout, "pause")
    drive(rollout, "paused")
    back = rollout.steps.filter(direction="back")
    floor.order(rollout, "skip", step=back.get(kind="restore_services"), reason="by hand, tomorrow")
    floor.order(rollout, "resume")
    drive(rollout, "rolled_back", "rollback_failed", "paused")
    failed = back.get(state="failed")
    assert (rollout.state, (failed.failure or {})["code"]) == ("rollback_failed", "has_traffic"), why(rollout)
    assert standing(floor) == ("green", {"blue": 3, "green": 3})


@long
def test_a_rejected_result_leaves_the_traffic_where_it_was(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor)
    rollout = verified(floor)
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed", "paused")
    assert standing(floor) == ("blue", {"blue": 3, "green": 0}), why(rollout)


@long
def test_the_dry_run_names_the_colour_and_what_would_change(lay_floor: Lay) -> None:
    planned = plans.preview(two_colours(lay_floor).release())
    assert not planned.errors
    told = json.dumps([each.differing for each in planned.steps])
    assert "deployment/green" in told.lower()
    switch = next(each for each in planned.steps if each.kind == "switch_service")
    assert [(each["before"], each["after"]) for each in switch.differing] == [("blue", "green")] * 2


@long
@pytest.mark.parametrize("wrong", ["disagree", "unlabelled", "autoscaled", "fixed ports"])
def test_what_cannot_be_known_or_done_is_refused_before_anything_changes(lay_floor: Lay, wrong: str) -> None:
    floor = two_colours(lay_floor)
    if wrong == "disagree":
        floor.space.patch("services", "shop", {"spec": {"selector": {"color": "green"}}})
    elif wrong == "unlabelled":
        shop = floor.services["shop"]
        shop.spec["colours"]["label"] = "colour"
        shop.save(update_fields=["spec"])
    elif wrong == "autoscaled":
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "green"}
        spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4}
        metadata = {"name": "green"}
        body = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata}
        floor.space.create({**body, "spec": spec})
    else:
        ports = [{"containerPort": 8080, "hostPort": 8080}]
        pod = {"containers": [{"name": "web", "ports": ports}]}
        floor.space.patch("deployments", "green", {"spec": {"template": {"spec": pod}}})
    codes = {
        "disagree": "colours_unknown",
        "unlabelled": "colours_unknown",
        "autoscaled": "colour_autoscaled",
        "fixed ports": "colour_fixed_ports",
    }
    release = floor.release()
    assert [each.kind for each in plans.preview(release).errors] == ["find_colours"]
    rollout = drive(floor.start("2.0.1"), *ENDS)
    failure = rollout.steps.get(kind="find_colours").failure
    assert failure is not None
    assert (rollout.state, failure["code"]) == ("failed", codes[wrong])
    assert not rollout.steps.exclude(acted_at=None).exists()


@long
@pytest.mark.parametrize(("mark", "state", "code"), MARKS)
def test_a_view_that_is_not_settled_holds_the_growth(
    lay_floor: Lay, mark: str, state: str, code: str
) -> None:
    limits = {"stableSeconds": 5, "changes": {"atMost": 1, "withinSeconds": 60}}
    view = {**VIEW, **limits, "timeoutSeconds": 20 if mark == "swings" else 4}
    floor = two_colours(lay_floor, checks=[view], pod_annotations={"practice/cluster-view": mark})
    rollout = drive(floor.start(), *ENDS)
    step = rollout.steps.filter(kind="cluster_view").order_by("position")[0]
    found = step.failure or step.observed
    assert (rollout.state, found["code"]) == (state, code), why(rollout)
    assert standing(floor) == ("blue", {"blue": 3, "green": 2})


@long
def test_pods_of_the_new_colour_that_cannot_start_fail_its_growth_at_once_and_go(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor, pod_annotations=failing("ErrImagePull"))
    rollout = drive(floor.start(), *ENDS)
    failed = rollout.steps.get(state="failed")
    assert rollout.state == "failed", why(rollout)
    assert (failed.kind, (failed.failure or {})["code"]) == ("scale", "ErrImagePull")
    assert standing(floor) == ("blue", {"blue": 3, "green": 2})
    floor.order(rollout, "rollback")
    drive(rollout, "rolled_back", "rollback_failed", "paused")
    assert standing(floor) == ("blue", {"blue": 3, "green": 0}), why(rollout)
