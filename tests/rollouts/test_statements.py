"""How often a rollout asks the database: what nobody has changed meanwhile is asked once."""

import pytest
from pytest_django import DjangoAssertNumQueries

from releases.rollouts import engine
from releases.rollouts.models import Rollout
from releases.rollouts.states import RolloutState, StepState

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_look_that_finds_nothing_to_do_asks_for_what_it_rests_on_and_no_more(
    notices: Rollout, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    notices.steps.filter(key="first").update(state=StepState.READY)
    Rollout.objects.update(state=RolloutState.PAUSED, pause={"reason": "person", "args": {}})
    # The lease, what is around it, the steps, the items; and the lease again.
    with django_assert_num_queries(5):
        engine.advance(notices.pk)
    notices.refresh_from_db()
    assert (notices.lease_epoch, notices.lease_until) == (1, None)
