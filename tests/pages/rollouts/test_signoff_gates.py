"""While a result waits for its sign-off: what is measured, why one may not sign, going on with a reason."""

import pytest

from releases.models import Release
from tests.factories import Shop
from tests.pages.rollouts.test_rollout_pages import english
from tests.releases.test_gates import commit, measured, waiting
from tests.soak import long


@pytest.fixture
def release(shop: Shop) -> Release:
    """A release whose gate `health` is breached."""
    release = waiting(shop)
    measured(release, "breached")
    return release


@long
def test_who_signs_sees_the_breach_and_goes_on_with_a_reason(shop: Shop, release: Release) -> None:
    client, rollout = english(shop, "pl"), release.rollouts.get()
    gate = release.gates.get(key="after.health")
    ignoring = f"/releases/{release.number}/gates/{gate.pk}/ignore/"
    for place in (f"/rollouts/{rollout.pk}/", f"/rollouts/{rollout.pk}/signoff/"):
        page = client.get(place).content.decode()
        assert "HTTP 503" in page
        assert ignoring in page
    assert 'id="panel-place"' in page
    assert 'value="approve"' not in page
    assert 'value="reject"' in page
    refused = client.post(f"/rollouts/{rollout.pk}/signoff/", {"verdict": "approve"})
    assert refused.status_code == 409
    assert b"is breached since" in refused.content
    assert b'name="breach" value="1"' in client.get(ignoring).content
    assert client.post(ignoring, {"breach": "1", "reason": ""}).status_code == 422
    answer = client.post(ignoring, {"breach": "1", "reason": "The probe is wrong."})
    assert answer["Location"] == f"/rollouts/{rollout.pk}/"
    page = client.get(f"/rollouts/{rollout.pk}/signoff/").content.decode()
    assert "The probe is wrong." in page
    assert 'value="approve"' in page
    commit()
    assert "The probe is wrong." in client.get(f"/releases/{release.number}/proof/").content.decode()


@long
def test_others_see_the_breach_and_are_offered_nothing(shop: Shop, release: Release) -> None:
    rollout, gate = release.rollouts.get(), release.gates.get(key="after.health")
    ignoring = f"/releases/{release.number}/gates/{gate.pk}/ignore/"
    for name in ("author", "auditor"):
        client = english(shop, name)
        page = client.get(f"/rollouts/{rollout.pk}/").content.decode()
        assert "HTTP 503" in page
        assert ignoring not in page
        assert client.post(ignoring, {"breach": "1", "reason": "x"}).status_code == 403
    assert "HTTP 503" in english(shop).get(f"/releases/{release.number}/").content.decode()


@long
def test_a_breach_that_is_over_is_said_to_be(shop: Shop, release: Release) -> None:
    gate = measured(release, "passed")
    client = english(shop, "pl")
    ignoring = f"/releases/{release.number}/gates/{gate.pk}/ignore/"
    assert b"Nothing is breached here now." in client.get(ignoring).content
    answer = client.post(ignoring, {"breach": "1", "reason": "x"})
    assert answer.status_code == 409
    assert b"This breach is over." in answer.content
