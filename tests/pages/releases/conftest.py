"""The shop with a registry that also lists versions, and people who open its pages."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from portal import clock
from portal.integrations.registry.client import Resolved
from portal.people.models import User
from releases.catalog.models import Service
from tests.factories import FakeRegistry, Shop, digest_for, make_checklist, make_shop, registry, runs

__all__ = ["registry"]

OFFERED = ("2.9.0", "2.8.0", "2.7.4")
Browse = Callable[[User], Client]


def offered(service: Service) -> list[Resolved]:
    """What the registry lists of a service, newest first."""
    made = clock.now()
    return [
        Resolved(
            digest=digest_for(service.name, version),
            accepted=frozenset({digest_for(service.name, version)}),
            created=made - timedelta(days=days),
            version=version,
        )
        for days, version in enumerate(OFFERED)
    ]


@pytest.fixture
def shop(db: None, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop: shopping-service runs 2.7.4, and two checks are asked before, one after a rollout."""
    monkeypatch.setattr("releases.catalog.versions.versions", offered)
    made = make_shop()
    runs(made.shopping, made.environment, "2.7.4")
    make_checklist(
        {"phase": "before", "text": "QA agreed to this version", "role": "qa", "required": True},
        {"phase": "before", "text": "The staging tests passed", "required": True},
        {"phase": "after", "text": "The main page was looked at", "required": True},
    )
    return made


@pytest.fixture
def browse() -> Browse:
    """Sign a person in."""

    def signed_in(user: User) -> Client:
        client = Client(headers={"accept-language": "en"})
        client.force_login(user)
        return client

    return signed_in
