"""Forward again after a rollback: a copy of the release, approved anew, whose start lifts the pins."""

from unittest import mock

import pytest
from django.test import Client

from portal.audit.models import AuditEntry
from portal.people.models import User
from releases.models import Release
from releases.rollouts.models import Pin, Rollout
from releases.rollouts.wordings import ROLLS_OUT
from tests.cluster.engine.conftest import Lay
from tests.factories import RESOLVE
from tests.portal.api import ApiClient
from tests.rollouts.floor import Floor, drive, why
from tests.soak import long

ENGLISH = {"accept-language": "en"}


@long
@pytest.mark.parametrize("by_hand", [False, True])
def test_what_was_rolled_back_goes_forward_again_as_a_copy(lay_floor: Lay, by_hand: bool) -> None:
    floor = lay_floor()
    api, first = ApiClient(floor.shop.cast.author), drive(floor.start(), "succeeded")
    assert api.post(f"/rollouts/{first.pk}/rollback", {"reason": "slower"}).status_code == 202
    drive(first, "rolled_back")
    assert floor.image("api").endswith(":1.0.0")
    assert_leads_on(floor, first)
    if by_hand:
        (pin,) = api.get("/pins").json()["items"]
        assert api.post(f"/pins/{pin['id']}/lift", {"reason": "Cause found"}).status_code == 200
    copy = copied_and_approved(floor, api, first.release_id)
    started = api.post(f"/releases/{copy.number}/start")
    assert started.status_code == 201
    second = drive(Rollout.objects.get(pk=started.json()["id"]), "succeeded", "failed", "paused")
    assert second.state == "succeeded", why(second)
    assert floor.image("api") == floor.wanted("api", "2.0.0")
    assert copy.items.get().image == first.release.items.get().image
    assert Pin.objects.get().lift_reason == ("Cause found" if by_hand else ROLLS_OUT)
    assert AuditEntry.objects.filter(action="pin.lifted").count() == 1
    assert api.get("/pins").json()["items"] == []


def assert_leads_on(floor: Floor, rollout: Rollout) -> None:
    """The page of the rollout and that of its release name the next step, with its button."""
    client = Client(headers=ENGLISH)
    client.force_login(floor.shop.cast.author)
    places = {"again": f"/rollouts/{rollout.pk}/", "next-link": f"/releases/{rollout.release_id}/"}
    for button, address in places.items():
        page = client.get(address).content.decode()
        assert "To go forward again, duplicate it and submit the copy." in page
        link = page[page.index(f'id="{button}"') :]
        assert f'href="/releases/{rollout.release_id}/duplicate/"' in link[: link.index(">")]


def copied_and_approved(floor: Floor, api: ApiClient, number: int) -> Release:
    """Copy a release, submit the copy and let it be approved."""
    with mock.patch(RESOLVE, floor.resolve):
        copied = api.post(f"/releases/{number}/duplicate")
        assert copied.status_code == 201
        copy = copied.json()["number"]
        too_early = api.post(f"/releases/{copy}/start")
        assert too_early.status_code == 409
        submitted = api.post(f"/releases/{copy}/submit")
    assert submitted.status_code == 200
    lead = ApiClient(User.objects.get(username="floor-pl"))
    decision = {"verdict": "approve", "content_digest": submitted.json()["content_digest"]}
    assert lead.post(f"/releases/{copy}/decisions", decision).status_code == 201
    return Release.objects.get(pk=copy)
