"""A notice leaves with the outcome of its step, or not at all."""

import pytest

from portal.actors import Actor
from portal.outbox.models import Message
from releases.rollouts import leases, outcomes
from releases.rollouts.course import Course
from releases.rollouts.models import Rollout
from releases.rollouts.operations import start_rollout
from releases.rollouts.states import RolloutState, StepState
from releases.rollouts.steps.kind import Work
from releases.rollouts.steps.notice import Notice
from tests import factories
from tests.factories import Shop, make_release
from tests.people import acting
from tests.soak import long

registry = factories.registry
shop = factories.shop
ENGINE = Actor.portal("a test")
PLAN = {"waves": [{"services": ["shopping-service"]}], "after": [{"kind": "notice", "to": ["role:qa"]}]}


@long
@pytest.mark.parametrize("state", [StepState.RUNNING, StepState.CANCELLED])
def test_a_notice_leaves_only_while_its_step_runs(shop: Shop, state: str) -> None:
    shop.plan.spec = PLAN
    shop.plan.save(update_fields=["spec"])
    release = make_release(shop, at="approved")
    rollout = start_rollout(release.number, actor=acting(shop.cast.author))
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.VERIFYING)
    rollout.steps.filter(kind="notice").update(state=StepState.RUNNING)
    step = rollout.steps.get(kind="notice")
    before = set(Message.objects.values_list("pk", flat=True))

    work = Work(step=step, release=release, environment=release.environment, items=[], rollout=rollout)
    outcome = Notice().observe(work)
    assert set(Message.objects.values_list("pk", flat=True)) == before

    rollout.steps.filter(pk=step.pk).update(state=state)
    lease = leases.take(rollout.pk)
    assert lease is not None
    course = Course(lease)
    outcomes.write(course, [(course.steps[step.position], outcome)], actor=ENGINE)
    sent = Message.objects.exclude(pk__in=before)
    told = [] if state == StepState.CANCELLED else [shop.cast.qa.username]
    assert list(sent.values_list("recipient", flat=True)) == told
    assert all("배포합니다" in message.body for message in sent)
