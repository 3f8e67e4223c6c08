"""The way back: the last wave first, each service restored, waited for and checked as on the way forward."""

from itertools import pairwise
from typing import Any

import pytest

from releases.rollouts import operations, rollback
from releases.rollouts.models import Rollout, Step
from tests.factories import Shop, make_release
from tests.people import acting
from tests.soak import long

PLAN = {
    "waves": [
        {"title": "First", "services": ["auth-service"]},
        {"title": "Second", "services": ["shopping-service"]},
    ],
    "each": [
        {"kind": "set_image"},
        {"kind": "wait_rollout", "timeoutSeconds": 900, "settleSeconds": 10},
        {"kind": "health", "timeoutSeconds": 45},
        {"kind": "http", "path": "/ready", "expect": 204},
    ],
}


@pytest.fixture
def rollout(shop: Shop) -> Rollout:
    """A rollout of two waves."""
    shop.plan.spec = PLAN
    shop.plan.save(update_fields=["spec"])
    items = [
        {"service": name, "version": version}
        for name, version in (("auth-service", "4.1.0"), ("shopping-service", "2.8.0"))
    ]
    release = make_release(shop, at="approved", items=items)
    return operations.start_rollout(release.number, actor=acting(shop.cast.author))


def way_back(rollout: Rollout, *changed: str) -> list[Step]:
    """The way back of a rollout that changed these services."""
    Step.objects.filter(rollout=rollout, kind="set_image", service__name__in=changed).update(intent={})
    return rollback.add_way_back(rollout, list(rollout.steps.select_related("service")))


@long
def test_each_service_is_waited_for_and_checked_as_on_the_way_forward(rollout: Rollout) -> None:
    made = way_back(rollout, "auth-service")
    assert [(step.kind, step.timeout_seconds) for step in made] == [
        ("restore_image", 60),
        ("wait_rollout", 900),
        ("health", 45),
        ("http", 60),
        ("verify_digests", 60),
    ]
    assert made[1].params["settleSeconds"] == 10
    assert (made[3].params["path"], made[3].params["expect"]) == ("/ready", 204)


@long
def test_an_earlier_wave_waits_for_the_checks_of_the_later_one(rollout: Rollout) -> None:
    made = way_back(rollout, "auth-service", "shopping-service")
    services = [step.service.name if step.service else "" for step in made]
    assert services == ["shopping-service"] * 4 + ["auth-service"] * 4 + [""]
    for earlier, later in pairwise(made):
        assert list(later.depends_on.all()) == [earlier]


@long
def test_what_stands_beside_a_wave_is_taken_back_around_its_members(rollout: Rollout) -> None:
    origin = rollout.steps.get(kind="set_image", service__name="auth-service")
    about: dict[str, Any] = {"wave": origin.wave, "service": origin.service, "intent": {}}
    where = {"workload": origin.params["workload"]}
    rollout.steps.create(key="grow", kind="scale", position=0, params={**where, "replicas": 3}, **about)
    params = {"services": ["auth"], "selector": {"color": "green"}}
    rollout.steps.create(key="switch", kind="switch_service", position=90, params=params, **about)
    made = way_back(rollout, "auth-service")
    assert [step.kind for step in made] == [
        "restore_services",
        "restore_image",
        "wait_rollout",
        "health",
        "http",
        "restore_scale",
        "verify_digests",
    ]
    assert {key: made[0].params[key] for key in params} == params
    for earlier, later in pairwise(made):
        assert list(later.depends_on.all()) == [earlier]


@long
def test_what_changed_nothing_has_no_way_back(rollout: Rollout) -> None:
    assert way_back(rollout) == []


@long
def test_what_was_changed_again_and_again_is_taken_back_once(rollout: Rollout) -> None:
    origin = rollout.steps.get(kind="set_image", service__name="auth-service")
    about: dict[str, Any] = {"wave": origin.wave, "service": origin.service, "kind": "scale"}
    where = {"workload": origin.params["workload"]}
    for number, (before, after) in enumerate(((4, 3), (3, 1)), start=90):
        changes = [{"object": "a", "field": "replicas", "before": str(before), "after": str(after)}]
        rollout.steps.create(
            key=f"s{number}", position=number, params=where, intent={"changes": changes}, **about
        )
    made = way_back(rollout, "auth-service")
    assert [step.kind for step in made].count("restore_scale") == 1
    steps = list(rollout.steps.filter(direction="forward"))
    last = next(each for each in steps if each.key == "s91")
    assert made[0].undo_of == last
    [net] = rollback.net_changes(steps, last)
    assert (net["before"], net["after"]) == ("4", "1")


@pytest.mark.parametrize("long_name", ["s" * 95, "s" * 110])
def test_however_long_the_names_are_it_begins_and_there_is_a_way_back(shop: Shop, long_name: str) -> None:
    shop.plan.spec = {**PLAN, "waves": [{"title": "All", "services": [long_name]}]}
    shop.plan.save(update_fields=["spec"])
    shop.shopping.name = long_name
    shop.shopping.spec["workloads"] = [
        {"kind": "Deployment", "name": f"{'w' * 118}-{number}", "containers": ["web"]} for number in (1, 2)
    ]
    shop.shopping.save(update_fields=["name", "spec"])
    release = make_release(shop, at="approved", items=[{"service": long_name, "version": "2.8.0"}])
    made = way_back(operations.start_rollout(release.number, actor=acting(shop.cast.author)), long_name)
    assert [each.kind for each in made].count("restore_image") == 2


def test_of_a_service_with_a_long_name_there_is_a_way_back(shop: Shop) -> None:
    shop.plan.spec = {**PLAN, "waves": [{"title": "All", "services": ["s" * 95]}]}
    shop.plan.save(update_fields=["spec"])
    shop.shopping.name = "s" * 95
    shop.shopping.save(update_fields=["name"])
    release = make_release(shop, at="approved", items=[{"service": "s" * 95, "version": "2.8.0"}])
    made = way_back(operations.start_rollout(release.number, actor=acting(shop.cast.author)), "s" * 95)
    assert [each.kind for each in made][:2] == ["restore_image", "wait_rollout"]
