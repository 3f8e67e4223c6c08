"""Bad input at the pages: an answer in the reader's words, never a fault of ours, nothing half-written."""

from typing import Any

import pytest
from django.test import Client

from approvals.models import Decision
from releases.catalog.policies import operations as policies
from releases.models import Release
from tests.factories import Shop, make_release, policy_table
from tests.people import acting, person
from tests.soak import long

HUGE = 10**20
ADDRESSES = [
    f"/releases/{HUGE}/",
    f"/releases/{HUGE}/review/",
    f"/rollouts/{HUGE}/",
    "/releases/%00/",
    "/catalog/services/%00/",
    "/catalog/plans/a%00b/",
    "/services/%00/x/",
    "/systems/%00/row/",
    "/services/shopping-service/shop-production/pods/%00/log/",
    "/services/shopping-service/shop-production/pods/..%2Fsecrets/log/",
    "/services/shopping-service/shop-production/operate/%00/",
    f"/audit/{HUGE}/",
    f"/policy/proposals/{HUGE}/",
    f"/policy/proposals/{HUGE}/answer/{HUGE}/",
    f"/policy/versions/{HUGE}/",
]


@pytest.fixture
def browser(shop: Shop) -> Client:
    """The browser of somebody who decides."""
    client = Client()
    client.force_login(shop.cast.pl)
    return client


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_no_row_can_have_is_not_found(shop: Shop, address: str) -> None:
    client = Client()
    client.force_login(shop.cast.administrator)
    assert client.get(address).status_code == 404


@long
@pytest.mark.parametrize(
    "address",
    [
        "/board/?environment=%00",
        "/board/part/?environment=%00&system=%00",
        "/systems/shop/row/?after=%00",
        "/audit/?person=%00&subject=%00&service=%00&action=%00",
        "/releases/?q=%00&view=%00",
        "/releases/new/?environment=%00&service=%00",
        "/catalog/?q=%00&kind=%00",
        "/inbox/part/?x=%00",
        "/policy/propose/?from=%00",
        f"/policy/propose/?from={HUGE}",
        "/policy/propose/?from=%C2%B2",
    ],
)
def test_a_parameter_that_no_row_can_have_is_no_fault(shop: Shop, address: str) -> None:
    client = Client()
    client.force_login(shop.cast.administrator)
    assert client.get(address).status_code in {200, 404, 422}


@long
@pytest.mark.parametrize("verdict", ["approve", "reject", "send_back", "object"])
@pytest.mark.parametrize(
    "fields", [{}, {"content_digest": "\x00"}, {"content_digest": "x", "reason": "\x00\x07"}]
)
def test_a_decision_with_odd_fields_is_refused_in_the_form(
    shop: Shop, browser: Client, verdict: str, fields: dict[str, str]
) -> None:
    release = make_release(shop, at="in_review")
    answer = browser.post(f"/releases/{release.number}/decide/{verdict}/", fields)
    assert answer.status_code in {409, 422}
    assert Decision.objects.count() == 0


@long
@pytest.mark.parametrize("verdict", ["approve", "reject", "send_back", "object"])
def test_a_signature_with_odd_fields_is_refused_in_the_form(shop: Shop, verdict: str) -> None:
    signer = Client()
    signer.force_login(person("second", ("director", "*")))
    administrator = acting(shop.cast.administrator)
    proposal = policies.propose(policy_table(B={"deadlineHours": 24}), actor=administrator, note="Faster.")
    odd: list[dict[str, str]] = [
        {},
        {"content_digest": "\x00"},
        {"content_digest": "x", "reason": "\x00\x07"},
    ]
    for fields in odd:
        answer = signer.post(f"/policy/proposals/{proposal.pk}/decide/{verdict}/", fields)
        assert answer.status_code in {409, 422}
    assert Decision.objects.count() == 0


@long
@pytest.mark.parametrize("act", ["withdraw", "submit", "announce", "close", "duplicate", "start"])
def test_an_act_with_nothing_sent_is_answered(shop: Shop, browser: Client, act: str) -> None:
    release = make_release(shop, at="in_review")
    assert browser.post(f"/releases/{release.number}/{act}/", {}).status_code < 500


@long
@pytest.mark.parametrize("when", ["9999-12-31T23:59", "0001-01-01T00:00", "soon"])
def test_a_time_out_of_reach_is_refused_beside_its_field(shop: Shop, when: str) -> None:
    release = make_release(shop)
    client = Client()
    client.force_login(shop.cast.author)
    answer = client.post(f"/releases/{release.number}/edit/when/", {"target_at": when, "plan": "shop-plan"})
    assert answer.status_code == 422
    release.refresh_from_db()
    assert release.target_at is None


@long
@pytest.mark.parametrize("query", ["end=9999-12-31", "start=0001-01-01", f"release={HUGE}", "end=soon"])
@pytest.mark.parametrize("address", ["/audit/", "/audit/export/"])
def test_a_search_out_of_reach_is_refused(shop: Shop, address: str, query: str) -> None:
    client = Client()
    client.force_login(shop.cast.auditor)
    assert client.get(f"{address}?{query}").status_code == 422


@pytest.mark.parametrize(
    ("language", "words"), [("ko", "요청이 너무 큽니다"), ("en", "The request is too large")]
)
@pytest.mark.parametrize("fields", [{"title": "x" * 2_000_000}, {f"f{n}": "1" for n in range(2_500)}])
def test_a_form_of_megabytes_is_refused_unparsed_in_the_readers_language(
    shop: Shop, language: str, words: str, fields: dict[str, Any]
) -> None:
    release = make_release(shop)
    client = Client()
    client.force_login(shop.cast.author)
    body = "&".join(f"{name}={value}" for name, value in fields.items())
    answer = client.post(
        f"/releases/{release.number}/edit/wording/",
        body,
        content_type="application/x-www-form-urlencoded",
        headers={"Accept-Language": language},
    )
    assert answer.status_code == 413
    assert words in answer.content.decode()


def test_another_hosts_name_is_refused_with_words() -> None:
    answer = Client().get("/board/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "요청을 읽지 못했습니다" in answer.content.decode()


def test_a_form_pressed_twice_makes_one_release(shop: Shop) -> None:
    client = Client()
    client.force_login(shop.cast.author)
    form = {
        "once": "a-key",
        "title": "Twice",
        "environment": "shop-production",
        "service": "shopping-service",
        "version-shopping-service": "2.8.0",
    }
    first, second = client.post("/releases/new/", form), client.post("/releases/new/", form)
    assert (first.status_code, first.headers["Location"]) == (302, second.headers["Location"])
    assert Release.objects.count() == 1


@long
def test_a_forms_key_that_no_row_can_hold_is_as_good_as_none(shop: Shop) -> None:
    client = Client()
    client.force_login(shop.cast.author)
    release = make_release(shop)
    for key in ("%00", "%ED%A0%80"):
        body = f"once={key}"
        answer = client.post(
            f"/releases/{release.number}/duplicate/", body, content_type="application/x-www-form-urlencoded"
        )
        assert answer.status_code == 302
    assert Release.objects.count() == 3
