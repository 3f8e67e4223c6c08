"""The page of a release: where it stands, the one next act, checks with evidence, announcing and closing."""

import re

from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.actors import Actor
from portal.outbox.models import Message
from releases import operations
from releases.models import Release
from releases.operations.progress import finish_verification, follow
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release, roll_out
from tests.pages.releases.conftest import Browse
from tests.people import acting
from tests.soak import long

ENGINE = Actor.portal("a test")


def finish(release: Release) -> None:
    """Let the release pass its rollout and verification."""
    from django.db import transaction  # noqa: PLC0415

    with transaction.atomic():
        follow(release, "rolling_out", actor=ENGINE)
        follow(release, "verifying", actor=ENGINE)
        finish_verification(release, actor=ENGINE)
    release.refresh_from_db()


@long
def test_the_life_line_says_who_is_awaited(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    answer = browse(shop.cast.outsider).get(f"/releases/{release.number}/")
    points = answer.context["life"]
    assert [point["status"] for point in points][:3] == ["done", "wait", "next"]
    assert "Project lead of shopping-service" in points[1]["note"]
    assert "Project lead of shopping-service" in answer.content.decode()


@long
def test_the_start_is_shown_off_with_what_is_missing(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="approved")
    answer = browse(shop.cast.author).get(f"/releases/{release.number}/")
    act = answer.context["next"]
    assert act.url == f"/releases/{release.number}/start/"
    assert {entry["text"] for entry in act.missing} == {
        "QA agreed to this version",
        "The staging tests passed",
    }
    assert (
        'id="next-link" href="/releases/1/start/" aria-disabled="true"'.replace("/1/", f"/{release.number}/")
        in answer.content.decode()
    )


@long
def test_checks_are_answered_with_evidence_by_who_may(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="approved")
    item = release.checks.get(role="qa")
    url = f"/releases/{release.number}/checklist/{item.pk}/"
    author, qa = browse(shop.cast.author), browse(shop.cast.qa)
    assert url not in author.get(f"/releases/{release.number}/").content.decode()
    assert url in qa.get(f"/releases/{release.number}/").content.decode()
    refused = author.post(url, {"result": "done"}, headers={"HX-Request": "true"})
    assert refused.status_code == 409
    assert b"This check is for another role." in refused.content
    silent = qa.post(url, {"result": "failed", "evidence": ""}, headers={"HX-Request": "true"})
    assert silent.status_code == 422
    done = qa.post(url, {"result": "done", "evidence": "All green", "link": "https://qa.example/1"})
    assert done.headers["Location"] == f"/releases/{release.number}/#check-{item.pk}"
    item.refresh_from_db()
    assert (item.result, item.evidence) == ("done", {"text": "All green", "link": "https://qa.example/1"})
    page = author.get(f"/releases/{release.number}/").content.decode()
    assert "All green" in page


@long
def test_a_check_that_is_not_due_cannot_be_answered(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="approved")
    item = release.checks.get(phase="after")
    url = f"/releases/{release.number}/checklist/{item.pk}/"
    client = browse(shop.cast.author)
    assert b"This check is not due now." in client.get(url).content
    assert client.post(url, {"result": "done"}).status_code == 409


@long
def test_a_signed_off_release_is_announced_and_closed(shop: Shop, browse: Browse) -> None:
    from releases.operations.signoff import sign_off_result  # noqa: PLC0415

    release = make_release(shop, at="approved")
    finish(release)
    client = browse(shop.cast.author)
    early = client.post(f"/releases/{release.number}/announce/")
    assert early.status_code == 409
    sign_off_result(release.number, actor=acting(shop.cast.pl), verdict="approve")
    page = client.get(f"/releases/{release.number}/")
    assert page.context["next"].url == f"/releases/{release.number}/announce/"
    client.post(f"/releases/{release.number}/announce/")
    release.refresh_from_db()
    assert release.state == "announced"
    assert Message.objects.filter(key__contains=".announced:").exists()
    assert client.post(f"/releases/{release.number}/close/").status_code == 409
    after = release.checks.get(phase="after")
    client.post(f"/releases/{release.number}/checklist/{after.pk}/", {"result": "done"})
    client.post(f"/releases/{release.number}/close/")
    release.refresh_from_db()
    assert release.state == "closed"


@long
def test_a_rolled_back_emergency_shows_its_end_and_who_reviews_it(shop: Shop, browse: Browse) -> None:
    incident = {"link": "https://incidents.example/7", "reason": "payments fail"}
    release = make_release(shop, grade="E", incident=incident)
    operations.submit_release(release.number, actor=acting(shop.cast.author))
    release.checks.filter(phase="before").update(result="done")
    rollout = roll_out(release, shop)
    for state in ("rolling_back", "rolled_back"):
        follow(release, state, actor=ENGINE)
    Rollout.objects.filter(pk=rollout.pk).update(state="rolled_back")
    page = browse(shop.cast.team_lead).get(f"/releases/{release.number}/")
    ends = [(point["label"], point["status"]) for point in page.context["life"]][-3:]
    assert ends == [("Rolled back", "done"), ("Owed review", "wait"), ("Closed", "next")]
    act = page.context["next"]
    assert (act.label, act.url) == ("Review and decide", f"/releases/{release.number}/review/")
    data = {"content_digest": release.content_digest, "reason": ""}
    browse(shop.cast.team_lead).post(f"/releases/{release.number}/decide/approve/", data)
    act = browse(shop.cast.author).get(f"/releases/{release.number}/").context["next"]
    assert (act.url, [entry["code"] for entry in act.missing]) == (
        f"/releases/{release.number}/close/",
        ["checklist"],
    )


@long
def test_a_copy_is_offered_to_who_may_compose_one_alone(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    operations.withdraw_release(release.number, actor=acting(shop.cast.author), reason="")
    link = f"/releases/{release.number}/duplicate/"
    for place in ("", "edit/"):
        address = f"/releases/{release.number}/{place}"
        assert link in browse(shop.cast.author).get(address).content.decode()
        assert link not in browse(shop.cast.auditor).get(address).content.decode()


@long
def test_an_act_on_the_release_s_own_page_stays_there(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    here = f"/releases/{release.number}/"
    answer = browse(shop.cast.author).post(
        f"{here}withdraw/", headers={"HX-Request": "true", "HX-Current-URL": f"http://testserver{here}#what"}
    )
    assert answer["HX-Trigger-After-Swap"] == "acted"
    assert answer.content == b""
    release.refresh_from_db()
    assert release.state == "withdrawn"


@long
def test_the_record_and_the_notices_are_on_the_page(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="approved")
    page = browse(shop.cast.auditor).get(f"/releases/{release.number}/")
    assert [entry.what for entry in page.context["entries"]][-1] == "Release composed"
    assert {"Approval requested", "Release approved"} <= {entry.what for entry in page.context["entries"]}
    assert page.context["notices"]


@long
def test_a_superseded_release_leads_to_the_newer_one(shop: Shop, browse: Browse) -> None:
    old = make_release(shop, at="in_review")
    new = make_release(shop, at="in_review")
    page = browse(shop.cast.pl).get(f"/releases/{old.number}/").content.decode()
    assert f"Replaced by #{new.number}." in page
    assert 'data-state="void"' not in page, "its content never changed"
    answer = browse(shop.cast.pl).post(
        f"/releases/{old.number}/decide/approve/", {"content_digest": old.content_digest}
    )
    assert answer.status_code == 409
    assert f"Replaced by #{new.number}." in answer.content.decode()


@long
def test_the_list_is_filtered_by_its_address(shop: Shop, browse: Browse) -> None:
    draft = make_release(shop, title="The draft")
    review = make_release(shop, at="in_review", title="The review", facts={"new_api": True})
    client = browse(shop.cast.outsider)

    def numbers(query: str) -> list[int]:
        return [row.number for row in client.get(f"/releases/{query}").context["page"].rows]

    assert numbers("") == [review.number, draft.number]
    assert numbers("?view=deciding") == [review.number]
    assert numbers("?grade=C&environment=shop-production") == [review.number]
    assert numbers("?q=The+draft") == [draft.number]
    assert numbers(f"?q=%23{draft.number}") == [draft.number]
    assert numbers("?q=shopping-service&view=drafts") == [draft.number]
    assert numbers("?environment=nowhere") == []
    assert numbers(f"?before={review.number}") == [draft.number]
    assert numbers("?before=x&view=%00&grade=Z&q=%00") == [review.number, draft.number]


@long
def test_the_list_asks_the_same_number_of_questions_for_many(shop: Shop, browse: Browse) -> None:
    client = browse(shop.cast.outsider)
    make_release(shop)
    make_release(shop, at="approved")
    with CaptureQueriesContext(connection) as few:
        client.get("/releases/")
    for _number in range(4):
        make_release(shop, at="approved")
    with CaptureQueriesContext(connection) as many:
        client.get("/releases/")
    assert len(many) == len(few)


@long
def test_new_rows_wait_behind_a_line_that_counts_them(shop: Shop, browse: Browse) -> None:
    old = make_release(shop)
    client = browse(shop.cast.pl)
    page = client.get("/releases/").content.decode()
    shown = re.findall(r'"shown": "([\d,]*)"', page)
    assert shown == [str(old.number)]
    assert "new-rows" not in page
    assert 'data-live-topic="board.shop-production"' in page
    asked = {"shown": shown[0]}
    assert "new-rows" not in client.get("/releases/unseen/", asked).content.decode()
    make_release(shop), make_release(shop, at="in_review")
    assert "Show 2 new items" in client.get("/releases/unseen/", asked).content.decode()
    assert "Show 1 new item<" in client.get("/releases/unseen/", {**asked, "view": "drafts"}).content.decode()
    assert client.get("/releases/unseen/", {"shown": "x,-1,9" * 500}).status_code == 200


@long
def test_a_row_fetches_itself_and_a_stranger_gets_nothing(shop: Shop, browse: Browse) -> None:
    release = make_release(shop)
    client = browse(shop.cast.author)
    row = client.get(f"/releases/{release.number}/row/", headers={"HX-Request": "true"}).content.decode()
    assert row.lstrip().startswith("<tr")
    assert f'data-live-topic="release.{release.number}"' in row
    assert client.get("/releases/999999/row/").status_code == 404
    assert client.get("/releases/999999/").status_code == 404


@long
def test_live_parts_bring_title_and_bar_along(shop: Shop, browse: Browse) -> None:
    release = make_release(shop, at="in_review")
    for path, place in (("", "release"), ("review/", "review")):
        part = (
            browse(shop.cast.pl)
            .get(f"/releases/{release.number}/{path}", headers={"HX-Request": "true"})
            .content.decode()
        )
        assert "<html" not in part
        assert f'id="{place}-bar" hx-swap-oob="true"' in part
