"""A shop with a plan of two waves, and a rollout of it that no engine touches."""

import pytest
from django.test import Client

from portal.people.models import User
from releases.models import Release
from releases.rollouts.models import Rollout
from releases.rollouts.operations import start_rollout
from tests import factories
from tests.factories import Shop, make_release
from tests.people import acting

registry = factories.registry
shop = factories.shop

PLAN = {
    "expectedMinutes": 30,
    "runbook": "https://wiki.example/rollback",
    "escalation": [{"role": "DevOps lead", "contact": "010-0000"}],
    "before": [{"kind": "pods_running"}],
    "waves": [
        {"title": "First", "services": ["auth-service"]},
        {"title": "Second", "services": ["shopping-service"]},
    ],
    "each": [{"kind": "set_image"}, {"kind": "wait_rollout"}],
    "after": [{"kind": "verify_digests"}],
}


@pytest.fixture
def approved(shop: Shop) -> Release:
    """A release of two services that may start."""
    shop.plan.spec = PLAN
    shop.plan.save(update_fields=["spec"])
    items = [
        {"service": "auth-service", "version": "4.1.0"},
        {"service": "shopping-service", "version": "2.8.0"},
    ]
    return make_release(shop, at="approved", items=items)


@pytest.fixture
def rollout(shop: Shop, approved: Release) -> Rollout:
    """Its rollout, queued."""
    return start_rollout(approved.number, actor=acting(shop.cast.author))


def browser(user: User) -> Client:
    """A browser in which the person is signed in."""
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client
