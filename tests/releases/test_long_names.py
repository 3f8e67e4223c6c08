"""A service may be called as the catalog lets it be called: 120 characters pass every scope on the way."""

from releases.catalog.rights import grant
from tests.factories import Shop, approve_all, make_release
from tests.portal.api import ApiClient

LONGEST = "s" * 120


def named(shop: Shop) -> None:
    """Give a service of the shop the longest name, and its project lead the role for it."""
    shop.shopping.name = LONGEST
    shop.shopping.save(update_fields=["name"])
    shop.plan.spec = {"waves": [{"title": "All", "services": [LONGEST]}]}
    shop.plan.save(update_fields=["spec"])


def test_a_service_with_the_longest_name_is_submitted_approved_and_started(shop: Shop) -> None:
    named(shop)
    roles = [{"role": "pl", "scope": f"service:{LONGEST}"}]
    given = ApiClient(shop.cast.administrator).send("PUT", "/people/pl/roles", roles)
    assert given.status_code == 200, given.json()
    grant()
    release = make_release(shop, items=[{"service": LONGEST, "version": "2.8.0"}])
    sent = ApiClient(shop.cast.author).send("POST", f"/releases/{release.number}/submit")
    assert sent.status_code == 200, sent.json()
    assert next(row["scope"] for row in sent.json()["requirements"]) == LONGEST
    approve_all(release)
    started = ApiClient(shop.cast.author).send("POST", f"/releases/{release.number}/start")
    assert started.status_code == 201, started.json()


def test_a_freeze_of_a_service_with_the_longest_name_is_added(shop: Shop) -> None:
    named(shop)
    body = {"kind": "stop", "reason": "Payments are lost", "scope": f"service:{LONGEST}"}
    added = ApiClient(shop.cast.director).post("/freezes", body)
    assert added.status_code == 201, added.json()
