"""Pins: after a rollback nothing starts a service by itself until somebody lifts the pin and says why."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import translation

from portal import clock
from portal.errors import Conflict, Invalid, NotAllowed
from releases import operations as release_operations
from releases.catalog.models import Plan
from releases.models import Release
from releases.rollouts import jobs, operations, pins
from releases.rollouts.models import Pin, Rollout
from tests.factories import Shop, make_release, make_rollout
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

WAVES = {"waves": [{"title": "All", "services": ["shopping-service"]}]}


@pytest.fixture
def pin(shop: Shop) -> Pin:
    """The shopping service was rolled back."""
    Plan.objects.filter(pk=shop.plan.pk).update(spec=WAVES)
    rollout = make_rollout(shop, [])
    Rollout.objects.filter(pk=rollout.pk).update(state="rolled_back")
    return Pin.objects.create(
        service=shop.shopping, environment=shop.environment, rollout=rollout, set_at=clock.now()
    )


def scheduled(shop: Shop) -> Release:
    """A release whose time has come."""
    release = make_release(shop, at="approved")
    at = clock.now() + timedelta(hours=1)
    release_operations.schedule_release(release.number, actor=acting(shop.cast.author), at=at)
    Release.objects.filter(pk=release.pk).update(scheduled_at=clock.now())
    return release


@long
def test_a_scheduled_start_is_given_back_until_the_pin_is_lifted(shop: Shop, pin: Pin) -> None:
    release = scheduled(shop)
    jobs.start_due()
    release.refresh_from_db()
    assert release.state == "approved"
    assert not release.rollouts.exists()
    pins.lift_pin(pin.pk, actor=acting(shop.cast.author), reason="Cause found")
    again = clock.now() + timedelta(hours=1)
    release_operations.schedule_release(release.number, actor=acting(shop.cast.author), at=again)
    Release.objects.filter(pk=release.pk).update(scheduled_at=clock.now())
    jobs.start_due()
    assert release.rollouts.exists()


@long
def test_the_release_and_its_start_say_what_is_pinned(shop: Shop, pin: Pin) -> None:
    release = make_release(shop, at="approved")
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.author)
    assert "shopping-service is pinned since" in client.get(f"/releases/{release.pk}/").content.decode()
    assert "This start lifts the pin." in client.get(f"/releases/{release.pk}/start/").content.decode()


@long
def test_the_record_says_in_the_readers_language_why_a_start_lifted_the_pin(shop: Shop, pin: Pin) -> None:
    release = make_release(shop, at="approved")
    with translation.override("ko"):
        operations.start_rollout(release.number, actor=acting(shop.cast.author))
    pin.refresh_from_db()
    assert pin.lifted_at is not None
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.author)
    assert "A release of the service rolls out" in client.get(f"/releases/{release.pk}/").content.decode()


MAY = {"author", "pl", "team_lead", "infra_senior", "director"}


def test_who_may_operate_lifts_it_with_a_reason_once(shop: Shop, pin: Pin) -> None:
    through = set()
    for name, user in vars(shop.cast).items():
        try:
            pins.lift_pin(pin.pk, actor=acting(user), reason="Cause found")
        except NotAllowed:
            continue
        through.add(name)
        Pin.objects.update(lifted_at=None)
    assert through == MAY
    with pytest.raises(Invalid):
        pins.lift_pin(pin.pk, actor=acting(shop.cast.author), reason=" ")
    pins.lift_pin(pin.pk, actor=acting(shop.cast.author), reason="Cause found")
    with pytest.raises(Conflict):
        pins.lift_pin(pin.pk, actor=acting(shop.cast.author), reason="Cause found")


def test_the_api_lists_and_lifts(shop: Shop, pin: Pin) -> None:
    api = ApiClient(shop.cast.author)
    (listed,) = api.get("/pins?environment=shop-production").json()["items"]
    assert (listed["service"], listed["release"]) == ("shopping-service", pin.rollout.release_id)
    assert api.post(f"/pins/{pin.pk}/lift", {"reason": ""}).status_code == 422
    assert api.post(f"/pins/{pin.pk}/lift", {"reason": "Cause found"}).json()["reason"] == "Cause found"
    assert api.get("/pins").json()["items"] == []
