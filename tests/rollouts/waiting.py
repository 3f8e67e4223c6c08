"""Releases that are started one behind the other: what tests of the queue press and look at."""

from typing import Any

import pytest
from django.test import Client

from portal.people.models import User
from releases.models import Release
from releases.rollouts import operations, queueing
from releases.rollouts.models import QueuePlace, Rollout
from releases.rollouts.states import LEFT
from tests.factories import Shop, make_release
from tests.people import acting


def release_of(shop: Shop, *names: str, version: str = "2.8.0") -> Release:
    """An approved release of these services."""
    items = [{"service": name, "version": version} for name in names or ("shopping-service",)]
    return make_release(shop, at="approved", items=items)


def ask(shop: Shop, release: Release) -> Rollout | QueuePlace:
    """Press start."""
    return queueing.ask_start(release.pk, actor=acting(shop.cast.author))


def over(rollout: Rollout | QueuePlace, state: str = "succeeded") -> Rollout:
    """Let a rollout be over, and its release with it where it did not end well."""
    assert isinstance(rollout, Rollout)
    Rollout.objects.filter(pk=rollout.pk).update(state=state)
    if state in LEFT:
        Release.objects.filter(pk=rollout.release_id).update(state="failed")
    return rollout


def english(user: User) -> Client:
    """The browser of a person who reads English."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def place(release: Release) -> QueuePlace:
    """Its newest place in the line."""
    found = QueuePlace.objects.filter(release=release).order_by("-pk").first()
    assert found is not None
    return found


def breaking_off(monkeypatch: pytest.MonkeyPatch, bad: Release) -> None:
    """Let the portal itself fail whenever this release is to begin."""
    begin = operations.begin

    def begun(release: Release, **asked: Any) -> Rollout:
        if release.pk == bad.pk:
            raise KeyError("a fault of our own")
        return begin(release, **asked)

    monkeypatch.setattr(operations, "begin", begun)
