"""kop from its beta to the announcement: tried, carried on, grown, signed off, switched, shrunk, and back.

On the real control plane nodes are simulated (examples.py); what is watched or settles takes a second.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from portal.errors import Conflict, Invalid
from releases import gates
from releases import operations as release_operations
from releases.models import Gate, Release
from releases.rollouts import measuring
from tests.cluster.engine.examples import System, shorten
from tests.cluster.objects import wait_for
from tests.factories import sign_off
from tests.rollouts.floor import drive, why
from tests.soak import long

SYSTEM, PLACE, BETA = "kop", "kop-production", "kop-beta"
# What the traffic of hybris goes through.
SERVICES = ("hybris", "hybris-api", "hybris-backoffice")
ENDS = ("succeeded", "failed", "paused", "stopped", "awaiting_signoff")
BACK = ("rolled_back", "rollback_failed", "paused")
# The parts of the system, in the order of the waves.
VERSIONS = {
    "hybris": "deploy-2026-01-08",
    "cms-internal": "6e27011f",
    "cms-public": "6e27011f",
    "kop-web": "a7ed4db1",
}


@pytest.fixture
def kop(system: System) -> System:
    shorten(SYSTEM)
    return system


def tried(kop: System, versions: dict[str, str]) -> Release:
    """A release that was rolled out to the beta, where nobody is asked to approve it."""
    release = kop.release(BETA, versions)
    rollout = drive(kop.start(release), *ENDS, seconds=60)
    assert rollout.state == "succeeded", why(rollout)
    release.refresh_from_db()
    return release


def carried(kop: System, beta: Release, *, plan: str = PLACE) -> Release:
    """What was tried, for production."""
    release = release_operations.carry_release(beta.number, PLACE, actor=kop.actor)
    seen = release.content_digest
    return release_operations.edit_release(release.number, {"plan": plan}, actor=kop.actor, if_match=seen)


def live(kop: System) -> set[str]:
    """The colours that the three Services follow."""
    space = kop.space(PLACE)
    return {space.get("services", name)["spec"]["selector"]["color"] for name in SERVICES}


def sizes(kop: System) -> dict[str, int]:
    """How many pods each colour asks for."""
    found = kop.space(PLACE).find("deployments", labelSelector="app=hybris")
    return {each["metadata"]["labels"]["color"]: each["spec"]["replicas"] for each in found}


def parts(kop: System, place: str) -> dict[str, set[str]]:
    """What the parts without colours ask for now."""
    found = kop.images(place)
    return {name: found[name] for name in VERSIONS if name != "hybris"}


@long
@pytest.mark.parametrize(
    ("plan", "grown", "views"),
    [
        (PLACE, [5, 10, 15], [20, 25, 30, 30, 27, 24, 21, 18, 15]),
        ("kop-production-small", [3, 6, 9], [18, 21, 24, 24, 21, 18, 15, 12, 9]),
    ],
)
def test_what_qa_tried_in_the_beta_grows_is_signed_off_switched_to_and_the_old_colour_shrinks(
    kop: System, plan: str, grown: list[int], views: list[int]
) -> None:
    before = parts(kop, PLACE)
    beta = tried(kop, VERSIONS)
    release = carried(kop, beta, plan=plan)
    with pytest.raises(Invalid) as untested:
        kop.start(release)
    assert {each["field"] for each in untested.value.missing} == {"items"}
    kop.answer(beta, "after")
    rollout = drive(kop.start(release), *ENDS, seconds=120)
    assert rollout.state == "awaiting_signoff", why(rollout)
    assert (live(kop), sizes(kop)) == ({"blue"}, {"blue": 15, "green": grown[-1]})
    items = {item.service.name: {item.image} for item in release.items.select_related("service")}
    assert parts(kop, PLACE) == {name: items[name] for name in before}
    sign_off(release)
    # The JGroups item of the checklist is ticked by a person, and holds the switch until then.
    assert drive(rollout, *ENDS).state == "awaiting_signoff"
    kop.answer(release, "during")
    drive(rollout, *set(ENDS) - {"awaiting_signoff"}, seconds=120)
    assert rollout.state == "succeeded", why(rollout)
    assert (live(kop), sizes(kop)) == ({"green"}, {"blue": 0, "green": grown[-1]})
    assert kop.images(PLACE)["hybris-green"] == items["hybris"]
    scaled = rollout.steps.filter(kind="scale", params__colour="idle").order_by("position")
    assert [step.params["replicas"] for step in scaled] == grown
    seen = rollout.steps.filter(kind="cluster_view").order_by("position")
    assert [step.observed["wanted"] for step in seen] == views
    release.refresh_from_db()
    assert release.state == "announced"
    drive(kop.back(rollout), *BACK, seconds=120)
    assert rollout.state == "rolled_back", why(rollout)
    assert (live(kop), sizes(kop)) == ({"blue"}, {"blue": 15, "green": 0})
    assert parts(kop, PLACE) == before


@contextmanager
def green(kop: System, mark: str, says: str) -> Iterator[None]:
    """Let all pods of the colour at rest say something of themselves, until the end of the block."""

    def write(text: str | None) -> None:
        change = {"spec": {"template": {"metadata": {"annotations": {mark: text}}}}}
        kop.space(PLACE).patch("deployments", "hybris-green", change)

    write(says)
    try:
        yield
    finally:
        write(None)


@long
def test_a_jgroups_cluster_that_falls_apart_fails_before_the_switch_and_the_idle_colour_goes(
    kop: System,
) -> None:
    with green(kop, "practice/cluster-view", "split"):
        before = parts(kop, PLACE)
        beta = tried(kop, VERSIONS)
        kop.answer(beta, "after")
        rollout = kop.start(carried(kop, beta))
        # Seconds for the plan's quarter of an hour.
        rollout.steps.filter(kind="cluster_view").update(timeout_seconds=3)
        drive(rollout, *ENDS, seconds=120)
        assert rollout.state == "failed", why(rollout)
        failed = rollout.steps.get(state="failed")
        assert (failed.kind, failed.observed["wanted"]) == ("cluster_view", 20)
        assert "1 (× 5)" in str(failed.observed), failed.observed
        assert (live(kop), sizes(kop)) == ({"blue"}, {"blue": 15, "green": 5})
        # CMS and web come after hybris.
        assert parts(kop, PLACE) == before
        drive(kop.back(rollout), *BACK, seconds=120)
        assert rollout.state == "rolled_back", why(rollout)
        assert (live(kop), sizes(kop)) == ({"blue"}, {"blue": 15, "green": 0})


def measured(kop: System, release: Release, kind: str) -> Gate:
    """What is measured while the superior decides, measured once more."""
    for gate in gates.measured_now().filter(release=release, kind=kind):
        measuring.measure(gate.pk)
    return release.gates.get(kind=kind)


@long
def test_a_jgroups_cluster_that_splits_while_the_superior_decides_turns_the_sign_off_off_until_it_heals(
    kop: System,
) -> None:
    beta = tried(kop, VERSIONS)
    kop.answer(beta, "after")
    release = carried(kop, beta)
    rollout = drive(kop.start(release), *ENDS, seconds=120)
    assert rollout.state == "awaiting_signoff", why(rollout)
    kop.answer(release, "during")
    space = kop.space(PLACE)
    grown = space.find("pods", labelSelector="app=hybris,color=green")

    def alone(mark: str | None) -> None:
        change = {"metadata": {"annotations": {"practice/cluster-view": mark}}}
        for pod in grown[:6]:
            space.patch("pods", pod["metadata"]["name"], change)

    alone("split")
    wait_for(lambda: measured(kop, release, "cluster_view").is_breached, what="the breach")
    with pytest.raises(Conflict) as refused:
        sign_off(release)
    assert (refused.value.code, live(kop)) == ("gate_breached", {"blue"})
    assert "1 (× 6)" in str(refused.value.missing)
    alone(None)
    wait_for(lambda: not measured(kop, release, "cluster_view").is_breached, what="its end")
    assert measured(kop, release, "health").result == "passed"
    sign_off(release)
    drive(kop.back(rollout), *BACK, seconds=120)
    assert rollout.state == "rolled_back", why(rollout)


@long
def test_a_green_that_is_ready_but_says_that_it_is_not_well_is_named_before_it_grows(kop: System) -> None:
    with green(kop, "practice/health", "DOWN"):
        beta = tried(kop, VERSIONS)
        kop.answer(beta, "after")
        rollout = kop.start(carried(kop, beta))
        rollout.steps.filter(kind="health").update(timeout_seconds=2)
        drive(rollout, *ENDS, seconds=120)
        assert rollout.state == "failed", why(rollout)
        failure = rollout.steps.get(state="failed", kind="health").failure
        assert failure is not None
        assert "hybris-green-" in failure["message"]
        assert "HTTP 503" in failure["message"]
        assert (live(kop), sizes(kop)) == ({"blue"}, {"blue": 15, "green": 5})
        drive(kop.back(rollout), *BACK, seconds=120)
        assert (rollout.state, sizes(kop)) == ("rolled_back", {"blue": 15, "green": 0}), why(rollout)
