"""Pages and lists ask the database as often for many rows as for few."""

from collections.abc import Iterable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.people.models import User
from releases.catalog import rights
from releases.incidents.operations import open_incident
from releases.rollouts.operations import start_rollout
from tests.factories import Shop, find_change, make_release, make_service
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import long

pytestmark = pytest.mark.django_db

STATES = ("draft", "in_review", "approved", "rolling_out", "announced")
LISTS = (
    "/",
    "/inbox/part/",
    "/board/",
    "/board/part/",
    "/calendar/",
    "/calendar/?view=week",
    "/catalog/",
    "/environments/shop-production/schedules/",
    "/findings/",
    "/findings/part/",
    "/incidents/",
    "/incidents/part/",
    "/queue/",
    "/releases/",
    "/reports/",
    "/systems/shop/row/",
    "/systems/shop/row/part/",
    "/api/v1/board",
    "/api/v1/environments",
    "/api/v1/environments/shop-production/recovery",
    "/api/v1/findings",
    "/api/v1/inbox",
    "/api/v1/incidents",
    "/api/v1/pins",
    "/api/v1/queue",
    "/api/v1/releases",
    "/api/v1/rhythm",
    "/api/v1/services",
    "/api/v1/systems/shop/row",
    "/api/v1/windows",
)
RECORDS = ("/audit/", "/api/v1/audit", "/api/v1/people")
OF_A_RELEASE = (
    "/releases/{draft}/",
    "/releases/{draft}/edit/",
    "/releases/{draft}/submit/",
    "/releases/{review}/",
    "/releases/{review}/review/",
    "/releases/{review}/row/",
    "/api/v1/releases/{review}",
    "/api/v1/releases/{review}/checklist",
    "/releases/{approved}/",
    "/rollouts/{rollout}/",
    "/rollouts/{rollout}/part/",
    "/api/v1/rollouts/{rollout}",
    "/api/v1/rollouts/{rollout}/steps",
    "/api/v1/rollouts/{rollout}/events",
)


def questions(user: User, pages: Iterable[str], **numbers: int) -> list[tuple[str, int]]:
    """How often each page asks the database, once what is remembered between requests is."""
    client = Client()
    client.force_login(user)
    counts = []
    for page in pages:
        address = page.format(**numbers)
        assert client.get(address).status_code == 200, address
        with CaptureQueriesContext(connection) as asked:
            client.get(address)
        counts.append((page, len(asked)))
    return counts


def fill_lists(shop: Shop, *names: str) -> None:
    """Add a release in every state, services and people."""
    for state in STATES:
        make_release(shop, at=state)
    for name in names:
        service = make_service(name, shop.payment.team, shop.environment)
        find_change(service, shop.environment)
        open_incident(name, shop.environment.name, actor=BY_THE_PORTAL)
        person(f"lead-of-{name}", ("pl", f"service:{name}"))


@long
def test_lists_ask_as_often_for_many_rows_as_for_few(shop: Shop) -> None:
    def asked() -> list[tuple[str, int]]:
        return [*questions(shop.cast.author, LISTS), *questions(shop.cast.auditor, (*LISTS, *RECORDS))]

    fill_lists(shop, "first")
    few = asked()
    fill_lists(shop, "second", "third")
    assert asked() == few


def release_of(shop: Shop, *services: str) -> dict[str, int]:
    """The numbers of releases of so many services, and of a rollout."""
    shop.plan.spec = {
        "before": [{"kind": "pods_running"}],
        "waves": [{"title": name, "services": [name]} for name in services],
        "each": [{"kind": "set_image"}, {"kind": "wait_rollout"}],
        "after": [{"kind": "verify_digests"}],
    }
    shop.plan.save(update_fields=["spec"])
    items = [{"service": name, "version": "2.8.0"} for name in services]
    changes = [{"area": "API", "text": f"In {name}", "link": None} for name in services]
    draft, review, approved, started = (
        make_release(shop, at=state, items=items, changes=changes).number
        for state in ("draft", "in_review", "approved", "approved")
    )
    rollout = start_rollout(started, actor=acting(shop.cast.author))
    return {"draft": draft, "review": review, "approved": approved, "rollout": rollout.pk}


@long
def test_a_release_asks_as_often_for_many_services_as_for_few(shop: Shop) -> None:
    services = [f"service-{number}" for number in range(8)]
    for name in services:
        make_service(name, shop.payment.team, shop.environment)
    rights.grant()
    few, many = release_of(shop, *services[:2]), release_of(shop, *services[2:])
    author = shop.cast.author
    assert questions(author, OF_A_RELEASE, **many) == questions(author, OF_A_RELEASE, **few)
