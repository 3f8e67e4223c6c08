"""The policy's pages: read, edit, propose, sign, and see who could approve nothing."""

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import translation

from approvals.models import Coverage, Decision, PolicyProposal, PolicyVersion
from portal.outbox.models import Message
from portal.people.models import User
from portal.people.operations import revoke_role
from releases.catalog.models import StoredDocument
from releases.catalog.policies import operations as policies
from releases.catalog.policies.coverage import look
from releases.catalog.policies.jobs import look_for_gaps
from tests.factories import Shop
from tests.factories import policy_table as example
from tests.people import BY_THE_PORTAL, acting, person
from tests.soak import long


@pytest.fixture
def second(shop: Shop) -> User:
    """Another director beside the cast's."""
    return person("second", ("director", "*"))


def browser(user: User) -> Client:
    """The person's browser, in English."""
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(user)
    return client


def text_of(answer: Any) -> str:
    """The page's words."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())))


def fields_of(answer: Any) -> dict[str, Any]:
    """What a browser would send of the page's form, unchanged."""
    page = answer.content.decode()
    values = {bound.html_name: bound.value() for bound in answer.context["form"]}
    drawn = {name: value for name, value in values.items() if f'name="{name}"' in page}
    return {name: value for name, value in drawn.items() if value is not None and value is not False}


@long
def test_a_change_goes_from_the_form_over_its_difference_to_the_signatures(shop: Shop, second: User) -> None:
    author = browser(shop.cast.administrator)
    page = author.get("/policy/propose/")
    sent = {
        **fields_of(page),
        "B.deadline_hours": "24",
        "A.review.1.role": "qa",
        "A.review.1.scope": "*",
        "A.review.1.when": ["new_api"],
        "note": "Faster.",
    }
    shown = author.post("/policy/propose/", sent)
    assert shown.status_code == 200, text_of(shown)
    assert "Deadline: 72 h → 24 h" in text_of(shown)
    assert "Review: asks for 1 × QA of the whole company · when: a new API" in text_of(shown)
    assert not PolicyProposal.objects.exists()
    answer = author.post("/policy/propose/confirm/", fields_of(shown))
    proposal = PolicyProposal.objects.get()
    assert answer.headers["Location"] == f"/policy/proposals/{proposal.pk}/"
    assert "/decide/" not in author.get(answer.headers["Location"]).content.decode()
    for user in (second, shop.cast.director):
        signer = browser(user)
        assert f"/policy/proposals/{proposal.pk}/" in signer.get("/").content.decode()
        panel = f"/policy/proposals/{proposal.pk}/decide/approve/"
        assert "Deadline: 72 h → 24 h" in text_of(signer.get(panel))
        assert signer.post(panel, {"content_digest": proposal.content_digest}).status_code == 302
        assert f"/policy/proposals/{proposal.pk}/" not in signer.get("/").content.decode()
    assert PolicyVersion.objects.first().version == 2  # type: ignore[union-attr]
    assert "Deadline: 72 h → 24 h" in text_of(author.get("/policy/versions/2/"))
    assert "version 2" in text_of(author.get("/policy/"))


@long
def test_the_form_asks_of_grade_e_alone_whether_an_overdue_review_holds(shop: Shop, second: User) -> None:
    author = browser(shop.cast.administrator)
    page = author.get("/policy/propose/")
    assert [name for name in page.context["form"].fields if "overdue_holds" in name] == ["E.overdue_holds"]
    sent = {**fields_of(page), "E.overdue_holds": "on", "note": "Reviews are given."}
    shown = text_of(author.post("/policy/propose/", sent))
    assert "An overdue review holds the next release of its services: no → yes" in shown


@long
def test_the_text_is_the_second_way_and_says_what_is_wrong(shop: Shop, second: User) -> None:
    author = browser(shop.cast.administrator)
    text = author.get("/policy/propose/text/").context["form"].initial["text"]
    for wrong, said in [
        (text, "Nothing would change"),
        (text.replace("count: 1", "count: 0"), "A number of people from 1 to 20"),
        ("- x", "One text with `grades` is expected"),
        ("a: [", "line"),
    ]:
        answer = author.post("/policy/propose/text/", {"text": wrong, "note": "x"})
        assert (answer.status_code, said in text_of(answer)) == (422, True), said
    assert "B" in text
    changed = text.replace("deadlineHours: 72", "deadlineHours: 71")
    shown = author.post("/policy/propose/text/", {"text": changed, "note": "x"})
    assert "Deadline: 72 h → 71 h" in text_of(shown)


@long
def test_a_proposal_is_made_by_administrators_and_ended_by_its_author_or_a_no(
    shop: Shop, second: User
) -> None:
    assert browser(second).get("/policy/propose/").status_code == 403
    author = acting(shop.cast.administrator)
    first = policies.propose(example(B={"deadlineHours": 1}), actor=author, note="x")
    away = f"/policy/proposals/{first.pk}/withdraw/"
    assert browser(second).post(away).status_code == 403
    assert browser(shop.cast.administrator).post(away).status_code == 302
    other = policies.propose(example(B={"deadlineHours": 2}), actor=author, note="x")
    no = f"/policy/proposals/{other.pk}/decide/reject/"
    sent = {"content_digest": other.content_digest}
    assert browser(second).post(no, sent).status_code == 422
    assert browser(second).post(no, {**sent, "reason": "Too short."}).status_code == 302
    assert [each.state for each in PolicyProposal.objects.all()] == ["rejected", "withdrawn"]


@long
def test_the_catalogs_document_says_what_holds(shop: Shop, second: User) -> None:
    source = {"apiVersion": "portal/v1", "kind": "Policy", "metadata": {"name": "grades"}}
    spec = {"grades": example()}
    StoredDocument.objects.create(
        kind="Policy",
        name="grades",
        root="x",
        file="policy.yaml",
        position=1,
        text="---\n",
        source={**source, "spec": spec},
    )
    made = policies.propose(example(B={"deadlineHours": 1}), actor=acting(shop.cast.administrator), note="x")
    for user in (second, shop.cast.director):
        policies.decide(made.pk, actor=acting(user), verdict="approve", content_digest=made.content_digest)
    row = StoredDocument.objects.get(kind="Policy")
    assert row.source["spec"]["grades"]["B"]["deadlineHours"] == 1
    assert row.text.startswith("---\napiVersion: portal/v1\n")
    assert browser(second).get("/catalog/policies/grades/").status_code == 200


@long
def test_a_new_gap_is_shown_first_and_told_once_to_administrators(shop: Shop) -> None:
    look()
    Message.objects.all().delete()
    revoke_role("director", role="director", scope="*", actor=acting(shop.cast.administrator))
    with translation.override("en"):
        look_for_gaps()
        look_for_gaps()
    page = browser(shop.cast.administrator).get("/policy/coverage/")
    assert "shopping-service production Grade C medium Lead Director Team commerce · Review" in text_of(page)
    told = Message.objects.filter(key__startswith="coverage.")
    assert [message.recipient for message in told] == ["administrator"]
    assert "nobody is Director of Team commerce" in told[0].body or "팀 commerce" in told[0].body
    assert browser(shop.cast.pl).post("/policy/coverage/").status_code == 403
    before = Coverage.objects.get().looked_at
    assert browser(shop.cast.administrator).post("/policy/coverage/").status_code == 302
    assert Coverage.objects.get().looked_at > before
    revoke_role("lead", role="team_lead", scope="team:commerce", actor=BY_THE_PORTAL)


@long
def test_a_change_that_was_sent_back_is_changed_and_proposed_anew(shop: Shop, second: User) -> None:
    author = browser(shop.cast.administrator)
    proposal = policies.propose(
        example(B={"deadlineHours": 24}), actor=acting(shop.cast.administrator), note="Faster."
    )
    place = f"/policy/proposals/{proposal.pk}/"
    stranger = browser(shop.cast.outsider)
    assert "/decide/object/" in stranger.get(place).content.decode()
    assert "/decide/send_back/" not in stranger.get(place).content.decode()
    sent = {"content_digest": proposal.content_digest, "reason": "24 is too short."}
    assert stranger.post(f"{place}decide/object/", sent).status_code == 302
    objection = Decision.objects.get()
    signer = browser(second)
    assert "24 is too short." in text_of(signer.get(f"{place}decide/approve/"))
    said = f"{place}answer/{objection.pk}/"
    assert said in signer.get(place).content.decode()
    assert signer.post(said, {"answer": ""}).status_code == 422
    assert signer.post(said, {"answer": "Two days, then."}).status_code == 302
    assert "Two days, then." in text_of(stranger.get(place))
    assert signer.post(f"{place}decide/send_back/", {**sent, "reason": ""}).status_code == 422
    assert signer.post(f"{place}decide/send_back/", sent).status_code == 302
    again = f"/policy/propose/?from={proposal.pk}"
    assert f'href="{again}"' in author.get(place).content.decode()
    page = author.get(again)
    assert (page.context["form"]["B.deadline_hours"].value(), page.context["form"]["note"].value()) == (
        "24",
        "Faster.",
    )
    shown = author.post(again, {**fields_of(page), "B.deadline_hours": "48"})
    assert "Deadline: 72 h → 48 h" in text_of(shown)
