"""The demo's delegation is in force after the first start, and is forced on nobody after it."""

import pytest

from portal.delegations.demo import load_delegation
from portal.delegations.operations import end_delegation
from portal.people import demo
from portal.people.models import Delegation, Role
from portal.people.operations import revoke_role
from portal.people.queries import delegations_in_force
from tests.delegating import let_run_out
from tests.people import BY_THE_PORTAL
from tests.soak import long


@long
@pytest.mark.django_db
def test_it_is_given_for_a_month_at_a_time_and_never_against_what_was_changed() -> None:
    demo.load_people()
    assert (load_delegation(), load_delegation()) == (True, False)
    let_run_out(delegations_in_force().get())
    assert load_delegation()
    end_delegation(delegations_in_force().get().pk, actor=BY_THE_PORTAL)
    assert not load_delegation()
    Delegation.objects.all().delete()
    revoke_role("mikyung", role=Role.TEAM_LEAD, scope="team:cms", actor=BY_THE_PORTAL)
    assert not load_delegation()
