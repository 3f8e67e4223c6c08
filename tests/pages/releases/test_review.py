"""Deciding in the browser: panels that carry the seal, refusals in words, and taking back."""

import pytest

from approvals.models import Decision
from releases import operations
from releases.catalog.rights import grant
from tests.factories import Shop, decide, make_release, make_service
from tests.pages.releases.conftest import Browse
from tests.people import acting
from tests.soak import long

HTMX = {"HX-Request": "true"}


@long
def test_the_review_shows_my_part_and_what_i_may_press(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    page = browse(shop.cast.pl).get(f"/releases/{release.number}/review/").content.decode()
    assert "requirement-mine" in page
    for verdict in ("approve", "send_back", "reject", "object"):
        assert f"/releases/{release.number}/decide/{verdict}/" in page


@long
@pytest.mark.parametrize("reader", ["author", "outsider", "auditor"])
def test_who_may_not_decide_has_no_button_and_reads_why(shop: Shop, browse: Browse, reader: str) -> None:
    release = make_release(shop, at="in_review")
    answer = browse(getattr(shop.cast, reader)).get(f"/releases/{release.number}/review/")
    page = answer.content.decode()
    assert f"/releases/{release.number}/decide/approve/" not in page
    assert str(answer.context["deciding"].why_not) in page
    assert answer.context["deciding"].why_not


@long
def test_an_auditor_may_not_even_object(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    client = browse(shop.cast.auditor)
    url = f"/releases/{release.number}/decide/object/"
    assert url not in client.get(f"/releases/{release.number}/review/").content.decode()
    answer = client.post(url, {"content_digest": release.content_digest, "reason": "No"})
    assert answer.status_code == 403
    assert not Decision.objects.exists()


@long
def test_approving_needs_the_panel_and_leads_back(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    client = browse(shop.cast.pl)
    url = f"/releases/{release.number}/decide/approve/"
    panel = client.get(url).content.decode()
    assert f'name="content_digest" value="{release.content_digest}"' in panel
    assert not Decision.objects.exists()
    answer = client.post(url, {"content_digest": release.content_digest}, headers=HTMX)
    assert answer.headers["HX-Redirect"] == f"/releases/{release.number}/review/"
    release.refresh_from_db()
    assert release.state == "approved"


@long
@pytest.mark.parametrize(("verdict", "state"), [("send_back", "sent_back"), ("reject", "rejected")])
def test_refusing_asks_for_a_reason_first(shop: Shop, browse: Browse, verdict: str, state: str) -> None:
    release = make_release(shop, at="in_review")
    client = browse(shop.cast.pl)
    url = f"/releases/{release.number}/decide/{verdict}/"
    answer = client.post(url, {"content_digest": release.content_digest}, headers=HTMX)
    assert answer.status_code == 422
    assert b"Say why, in a sentence." in answer.content
    client.post(url, {"content_digest": release.content_digest, "reason": "Not tested"})
    release.refresh_from_db()
    assert release.state == state


@long
def test_a_changed_content_closes_the_panel_and_keeps_the_words(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    seen = release.content_digest
    author = acting(shop.cast.author)
    operations.edit_release(release.number, {"facts": {"new_api": True}}, actor=author, if_match=seen)
    typed = {"content_digest": seen, "reason": "My long explanation"}
    url = f"/releases/{release.number}/decide/send_back/"
    answer = browse(shop.cast.pl).post(url, typed, headers=HTMX)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "My long explanation" in page
    assert 'id="decide-button"' not in page
    assert "New API" in page
    assert not Decision.objects.exists()


@long
def test_a_resubmitted_content_shows_its_difference_before_the_decision(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    seen = release.content_digest
    author = acting(shop.cast.author)
    new = {"changes": [{"area": "UI", "text": "A new button", "link": None}]}
    operations.edit_release(release.number, new, actor=author, if_match=seen)
    operations.submit_release(release.number, actor=author)
    release.refresh_from_db()
    answer = browse(shop.cast.pl).post(
        f"/releases/{release.number}/decide/approve/", {"content_digest": seen}, headers=HTMX
    )
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "It changed while you looked." in page
    assert "[UI] A new button" in page
    assert release.content_digest in page
    review = browse(shop.cast.pl).get(f"/releases/{release.number}/review/").content.decode()
    assert "What changed since the last round" in review
    assert "[UI] A new button" in review


@long
def test_a_panel_opened_from_an_old_page_shows_what_changed_since(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    client = browse(shop.cast.pl)
    page = client.get(f"/releases/{release.number}/review/").content.decode()
    link = next(part.split('"')[0] for part in page.split('href="') if "/decide/approve/" in part)
    assert "What changed while you looked" not in client.get(link).content.decode()
    author = acting(shop.cast.author)
    new = {"changes": [{"area": "UI", "text": "A new button", "link": None}]}
    operations.edit_release(release.number, new, actor=author, if_match=release.content_digest)
    operations.submit_release(release.number, actor=author)
    panel = client.get(link).content.decode()
    assert "What changed while you looked" in panel
    assert "[UI] A new button" in panel


@long
def test_who_was_faster_is_said(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    decide(release, shop.cast.pl, "reject", "Not this week")
    answer = browse(shop.cast.pl).post(
        f"/releases/{release.number}/decide/approve/",
        {"content_digest": release.content_digest},
        headers=HTMX,
    )
    assert answer.status_code == 409
    assert b"The release is rejected" in answer.content


@long
def test_an_approval_is_taken_back_on_its_own_panel(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    decision = decide(release, shop.cast.pl)
    client = browse(shop.cast.pl)
    page = client.get(f"/releases/{release.number}/review/").content.decode()
    url = f"/releases/{release.number}/decisions/{decision.pk}/take-back/"
    assert url in page
    assert client.get(url).status_code == 200
    client.post(url)
    release.refresh_from_db()
    assert release.state == "in_review"
    assert browse(shop.cast.author).post(url, headers=HTMX).status_code == 409


@long
def test_an_objection_is_seen_and_answered_in_words(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review", facts={"database_change": True})
    url = f"/releases/{release.number}/decide/object/"
    data = {"content_digest": release.content_digest, "reason": "Payments are untested"}
    browse(shop.cast.outsider).post(url, data)
    objection = Decision.objects.get()
    lead = browse(shop.cast.team_lead)
    page = lead.get(f"/releases/{release.number}/review/").content.decode()
    assert "Payments are untested" in page
    panel = f"/releases/{release.number}/decisions/{objection.pk}/answer/"
    assert panel in page
    assert lead.post(panel, {"answer": ""}, headers=HTMX).status_code == 422
    lead.post(panel, {"answer": "They were tested on beta"})
    objection.refresh_from_db()
    assert objection.answered_by == shop.cast.team_lead
    detail = browse(shop.cast.outsider).get(f"/releases/{release.number}/").content.decode()
    assert "They were tested on beta" in detail


@long
def test_many_services_are_told_in_short_above_and_whole_below(shop: Shop, browse: Browse) -> None:
    names = [f"extra-{number}" for number in range(6)]
    for name in names:
        make_service(name, shop.shopping.team, shop.environment)
    grant()
    items = [{"service": name, "version": "1.0.0"} for name in names]
    release = make_release(shop, at="in_review", items=items)
    page = browse(shop.cast.team_lead).get(f"/releases/{release.number}/review/").content.decode()
    first, _mark, rest = page.partition('id="content"')
    assert "6 services" in first
    assert "extra-5" not in first
    assert "All 6 services" in first
    assert all(name in rest for name in names)
    assert "Commerce" in first
