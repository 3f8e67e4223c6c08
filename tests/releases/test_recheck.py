"""A release follows its rows: the sweep moves what roles that came or went have changed."""

import pytest

from portal.people.operations import grant_role, revoke_role
from releases.jobs import recheck_pending
from tests.factories import Shop, make_release
from tests.people import BY_THE_PORTAL
from tests.soak import long

pytestmark = pytest.mark.django_db
ITEMS = [{"service": name, "version": "3"} for name in ("payment-service", "auth-service")]


@long
def test_a_sweep_leaves_no_release_approved_that_is_not(shop: Shop) -> None:
    release = make_release(shop, at="approved", items=ITEMS)
    revoke_role("lead", role="team_lead", scope="team:commerce", actor=BY_THE_PORTAL)
    recheck_pending()
    release.refresh_from_db()
    assert release.state == "in_review"
    grant_role("lead", role="team_lead", scope="team:commerce", actor=BY_THE_PORTAL)
    recheck_pending()
    release.refresh_from_db()
    assert release.state == "approved"
