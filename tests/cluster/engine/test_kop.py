"""kop from its beta to the announcement: tried, carried on, grown, signed off, switched, shrunk, and back.

On the real control plane nodes are simulated (examples.py); views and settling are watched for a second.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from portal.errors import Invalid
from portal.people.models import User
from releases import operations as release_operations
from releases.catalog.models import Plan
from releases.models import Release
from releases.rollouts import operations
from releases.rollouts.models import Rollout
from tests.cluster.engine.examples import example_cluster
from tests.cluster.objects import Space
from tests.factories import approve_all, sign_off
from tests.people import acting, person
from tests.rollouts.floor import drive, why
from tests.rollouts.universe import furnish
from tests.soak import long

Served = tuple[Path, str]
SYSTEM, BETA = "kop-production", "kop-beta"
SERVICES = ("hybris", "hybris-api", "hybris-backoffice")
ENDS = ("succeeded", "failed", "paused", "stopped", "awaiting_signoff")
VERSION = "deploy-2026-01-08"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("kop")
    with example_cluster(folder, system="kop", namespace=SYSTEM, deployments=5) as made:
        yield made


@dataclass(frozen=True)
class Kop:
    """The running system, and who rolls it out."""

    space: Space
    manager: User

    def beta(self) -> Release:
        """Roll a release of hybris out to the beta, where nobody is asked to approve it."""
        actor = acting(self.manager)
        items = [{"service": "hybris", "version": VERSION}]
        data = {"environment": BETA, "items": items, "changes": [], "facts": {}}
        release = release_operations.create_release(data, actor=actor)
        release_operations.submit_release(release.number, actor=actor)
        rollout = drive(operations.start_rollout(release.number, actor=actor), *ENDS, seconds=60)
        assert rollout.state == "succeeded", why(rollout)
        release.refresh_from_db()
        return release

    def carry(self, beta: Release) -> Release:
        """Carry what was tried to production."""
        return release_operations.carry_release(beta.number, SYSTEM, actor=acting(self.manager))

    def start(self, release: Release) -> Rollout:
        """Submit, check, approve and start it."""
        actor = acting(self.manager)
        release_operations.submit_release(release.number, actor=actor)
        self.answer(release, "before")
        approve_all(release)
        return operations.start_rollout(release.number, actor=actor)

    def answer(self, release: Release, phase: str) -> None:
        """Tick every check of a phase."""
        for check in release.checks.filter(phase=phase):
            who = User.objects.get(username="universe-qa") if check.role == "qa" else self.manager
            release_operations.answer_check(release.number, check.pk, actor=acting(who), result="done")

    def live(self) -> set[str]:
        """The colours that the three Services follow."""
        return {self.space.get("services", name)["spec"]["selector"]["color"] for name in SERVICES}

    def sizes(self) -> dict[str, int]:
        """How many pods each colour asks for."""
        found = self.space.find("deployments", labelSelector="app=hybris")
        return {each["metadata"]["labels"]["color"]: each["spec"]["replicas"] for each in found}


@pytest.fixture
def kop(served: Served, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kop]:
    made = furnish(*served, monkeypatch)
    person("hybris-lead", ("team_lead", "team:hybris"))
    for plan in Plan.objects.filter(name__in=[SYSTEM, BETA]):
        # The plans themselves, watched for a second where they say longer.
        text = json.dumps(plan.spec).replace('"stableSeconds": 60', '"stableSeconds": 1')
        text = text.replace('"settleSeconds": 10', '"settleSeconds": 1')
        plan.spec = json.loads(text.replace('"minutes": 10', '"seconds": 1, "everySeconds": 5'))
        plan.save(update_fields=["spec"])
    yield Kop(Space(made.space.api, SYSTEM), made.manager)
    made.space.api.close()


@long
def test_what_qa_tried_in_the_beta_grows_is_signed_off_switched_to_and_the_old_colour_shrinks(
    kop: Kop,
) -> None:
    beta = kop.beta()
    carried = kop.carry(beta)
    with pytest.raises(Invalid) as untested:
        kop.start(carried)
    assert [each["field"] for each in untested.value.missing] == ["items"]
    kop.answer(beta, "after")
    rollout = drive(kop.start(carried), *ENDS, seconds=120)
    assert rollout.state == "awaiting_signoff", why(rollout)
    assert (kop.live(), kop.sizes()) == ({"blue"}, {"blue": 15, "green": 15})
    release = rollout.release
    sign_off(release)
    # The JGroups item of the checklist is ticked by a person, and holds the switch until then.
    assert drive(rollout, *ENDS).state == "awaiting_signoff"
    kop.answer(release, "during")
    drive(rollout, *set(ENDS) - {"awaiting_signoff"}, seconds=120)
    assert rollout.state == "succeeded", why(rollout)
    assert (kop.live(), kop.sizes()) == ({"green"}, {"blue": 0, "green": 15})
    grown = rollout.steps.filter(kind="scale", params__colour="idle").order_by("position")
    assert [step.params["replicas"] for step in grown] == [5, 10, 15]
    views = rollout.steps.filter(kind="cluster_view").order_by("position")
    assert [step.observed["wanted"] for step in views] == [20, 25, 30, 27, 24, 21, 18, 15]
    release.refresh_from_db()
    assert release.state == "announced"
    operations.give_order(rollout.pk, "rollback", actor=acting(kop.manager))
    drive(rollout, "rolled_back", "rollback_failed", "paused", seconds=120)
    assert rollout.state == "rolled_back", why(rollout)
    assert (kop.live(), kop.sizes()) == ({"blue"}, {"blue": 15, "green": 0})


@long
def test_a_jgroups_cluster_that_falls_apart_fails_before_the_switch_and_the_idle_colour_goes(
    kop: Kop,
) -> None:
    apart = {"spec": {"template": {"metadata": {"annotations": {"practice/cluster-view": "split"}}}}}
    kop.space.patch("deployments", "hybris-green", apart)
    beta = kop.beta()
    kop.answer(beta, "after")
    rollout = kop.start(kop.carry(beta))
    # Seconds for the plan's quarter of an hour.
    rollout.steps.filter(kind="cluster_view").update(timeout_seconds=3)
    drive(rollout, *ENDS, seconds=120)
    assert rollout.state == "failed", why(rollout)
    failed = rollout.steps.get(state="failed")
    assert (failed.kind, failed.observed["wanted"]) == ("cluster_view", 20)
    assert "1 (× 5)" in str(failed.observed), failed.observed
    assert (kop.live(), kop.sizes()) == ({"blue"}, {"blue": 15, "green": 5})
    operations.give_order(rollout.pk, "rollback", actor=acting(kop.manager))
    drive(rollout, "rolled_back", "rollback_failed", "paused", seconds=120)
    assert rollout.state == "rolled_back", why(rollout)
    assert (kop.live(), kop.sizes()) == ({"blue"}, {"blue": 15, "green": 0})
