"""The proof of a release answers on one page: who approved it, of what exactly, and did exactly that run?"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from portal.audit import operations as record_operations
from portal.audit import verifier
from portal.audit.record import record
from portal.people.models import User
from portal.people.operations import revoke_role
from releases import operations
from releases.models import Release
from releases.rollouts.models import Rollout, Step
from tests.delegating import give
from tests.factories import (
    ENGINE,
    Shop,
    decide,
    make_release,
    make_shop,
    registry,
    roll_out,
    shop,
    sign_off,
    verify,
)
from tests.people import BY_THE_PORTAL, acting, person
from tests.portal.api import ApiClient
from tests.portal.audit.signing import new_key
from tests.soak import long

__all__ = ["registry", "shop"]
EXACT = {"exact": True, "services": []}


def browse(user: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def page(user: User, release: Release) -> str:
    answer = browse(user).get(f"/releases/{release.number}/proof/")
    assert answer.status_code == 200
    return answer.content.decode()


@long
def test_one_page_says_who_approved_what_and_who_signed_off(shop: Shop) -> None:
    release = make_release(shop, at="announced")
    text = page(shop.cast.auditor, release)
    for said in ("1. In short", "2. Who asked", "3. What exactly", "8. Where it stands in the record"):
        assert said in text
    assert release.content_digest in text
    assert "All approved exactly this." in text
    assert "shopping-service 2.8.0" in text
    assert ">Pl</span>" in text
    assert text.count("<h1") == 1
    proof = json.loads(ApiClient(shop.cast.auditor).get(f"/releases/{release.number}/proof").content)
    assert [each["person"] for each in proof["answer"]["approved_by"]] == ["pl"]
    assert [each["person"] for each in proof["answer"]["signed_off_by"]] == ["pl"]
    assert proof["decisions"][0]["digest"] == release.content_digest
    assert proof["decisions"][0]["capacities"] == [["pl", "service:shopping-service"]]
    assert proof["sealed"] is True


@long
@pytest.mark.parametrize(
    ("verdict", "state", "said"),
    [
        (None, "succeeded", "It was not read back what ran."),
        (EXACT, "succeeded", "Yes. Exactly what was approved, nothing else."),
        (EXACT, "rolled_back", "It was rolled back. Exactly what ran before runs again."),
        ({**EXACT, "exact": False}, "failed", "No. Something else was found to run"),
    ],
)
def test_the_page_says_whether_exactly_that_ran(
    shop: Shop, verdict: dict[str, Any] | None, state: str, said: str
) -> None:
    release = make_release(shop, at="awaiting_signoff")
    Rollout.objects.filter(release=release).update(verdict=verdict, state=state)
    assert said in page(shop.cast.outsider, release)


@long
def test_other_content_than_approved_is_said(shop: Shop) -> None:
    release = make_release(shop, at="awaiting_signoff")
    Rollout.objects.filter(release=release).update(verdict=EXACT, content_digest="sha256:other")
    assert "No. The rollout carried other content." in page(shop.cast.outsider, release)
    release.content["grade"] = "A"
    release.save(update_fields=["content"])
    assert "The content is not the one that was sealed." in page(shop.cast.outsider, release)


def test_a_draft_has_a_proof_that_says_that_nothing_happened(shop: Shop) -> None:
    text = page(shop.cast.author, make_release(shop))
    assert "Nothing was rolled out." in text
    assert "Nobody has decided." in text


@long
def test_who_could_decide_is_who_held_the_role_then(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    revoke_role("pl", role="pl", scope="service:shopping-service", actor=BY_THE_PORTAL)
    proof = json.loads(ApiClient(shop.cast.auditor).get(f"/releases/{release.number}/proof").content)
    (review,) = [row for row in proof["requirements"] if row["phase"] == "review"]
    assert (review["could"], review["met_by"]) == (["pl"], [])


@long
def test_whole_entries_are_for_readers_of_the_record_and_those_who_decided(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    path = f"/releases/{release.number}/proof/file/"
    for user in (shop.cast.outsider, shop.cast.author, shop.cast.qa):
        assert browse(user).get(path).status_code == 403
        assert path not in page(user, release)
        proof = json.loads(ApiClient(user).get(f"/releases/{release.number}/proof").content)
        assert {each["entry"] for each in proof["entries"]} <= {None}
    for user in (shop.cast.auditor, shop.cast.pl):
        assert path in page(user, release)
        answer = browse(user).get(path)
        assert answer["Content-Disposition"] == f'attachment; filename="release-{release.number}-proof.json"'
    assert browse(shop.cast.auditor).get("/releases/999999/proof/").status_code == 404


def test_the_release_and_its_entries_lead_to_the_proof(shop: Shop) -> None:
    release = make_release(shop)
    path = f'href="/releases/{release.number}/proof/"'
    assert path in browse(shop.cast.outsider).get(f"/releases/{release.number}/").content.decode()


@pytest.fixture
def announced(registry: object, transactional_db: None, settings: Any) -> tuple[Shop, Release]:
    """A release that somebody approved for somebody, announced, and signed in the record."""
    settings.AUDIT_KEY = new_key()
    made = make_shop()
    with transaction.atomic():
        release = make_release(made, at="in_review")
        deputy = person("deputy", ("pl", "service:payment-service"))
        give(made.cast.pl, deputy, "pl", "service:shopping-service")
        decide(release, deputy)
        objection = decide(release, made.cast.qa, "object", "Was it tested?")
        operations.answer_objection(
            release.number, objection.pk, actor=acting(made.cast.pl), answer="Yes, on Monday."
        )
        rollout = roll_out(release, made)
        record(
            "step.succeeded",
            actor=ENGINE,
            subject=("step", str(Step.objects.create(rollout=rollout, key="verify", state="succeeded").pk)),
            after={"state": "succeeded", "verdict": EXACT},
            release=release.number,
        )
        Rollout.objects.update(verdict=EXACT)
        verify(release)
        sign_off(release)
        operations.announce_release(release.number, actor=acting(made.cast.author))
    record_operations.sign_head()
    return made, Release.objects.get(pk=release.pk)


@long
@pytest.mark.django_db(transaction=True)
def test_an_auditor_answers_from_one_page_and_one_file_that_verifies_offline(
    announced: tuple[Shop, Release], tmp_path: Path
) -> None:
    """Who approved the release, of what exactly, and did exactly that run?"""
    made, release = announced
    auditor = browse(made.cast.auditor)
    text = page(made.cast.auditor, release)
    short = text[text.index("1. In short") : text.index("2. Who asked")]
    assert "Deputy" in short
    assert "Pl" in short
    assert release.content_digest in short
    assert "Yes. Exactly what was approved, nothing else." in short
    assert "Every entry is under a signed checkpoint." in text
    for said in ("Was it tested?", "Yes, on Monday.", "May not decide", "shopping-service(2.8.0)"):
        assert said in text
    file, tool = tmp_path / "release-proof.json", tmp_path / "verify.py"
    file.write_bytes(auditor.get(f"/releases/{release.number}/proof/file/").content)
    tool.write_bytes(Path(verifier.__file__).read_bytes())
    proof = json.loads(file.read_text())
    assert [(each["person"], each["on_behalf_of"]) for each in proof["answer"]["approved_by"]] == [
        ("deputy", "pl")
    ]
    assert proof["answer"]["ran"] == "exactly"
    assert proof["requirements"][0]["could"] == ["pl"]
    assert proof["requirements"][0]["could_for"] == [{"person": "deputy", "on_behalf_of": "pl"}]
    assert proof["unsigned"] == 0
    checked = subprocess.run([sys.executable, "-I", tool, file], capture_output=True, text=True, check=True)
    assert checked.stdout.endswith("whole\n")


@long
@pytest.mark.django_db(transaction=True)
def test_the_file_names_what_was_changed_in_it(announced: tuple[Shop, Release]) -> None:
    made, release = announced
    text = browse(made.cast.auditor).get(f"/releases/{release.number}/proof/file/").content.decode()
    number = json.loads(text)["entries"][0]["number"]
    assert f'href="/audit/{number}/"' in page(made.cast.auditor, release)

    def found(change: Any) -> str | None:
        proof = json.loads(text)
        change(proof)
        fault = verifier.check_proof(proof).fault
        return fault.code if fault else None

    def unbacked(*path: Any, value: Any = "forged") -> bool:
        def change(proof: Any) -> None:
            for key in path[:-1]:
                proof = proof[key]
            proof[path[-1]] = value

        return found(change) == "unbacked"

    assert found(lambda proof: None) is None
    assert found(lambda proof: proof["content"].update(grade="A")) == "content"
    for name in ("person", "on_behalf_of", "digest", "entry", "reason", "verdict", "phase", "capacities"):
        assert unbacked("decisions", 0, name), name
    assert unbacked("decisions", 0, "on_behalf_of", value=None)
    assert unbacked("decisions", 1, "answered_by")
    assert unbacked("decisions", 1, "answer")
    assert unbacked("decisions", 0, "revoked_at")
    assert unbacked("release", "author")
    assert unbacked("release", "submitted_by")
    assert unbacked("rollouts", 0, "started_by")
    assert unbacked("rollouts", 0, "content_digest")
    assert unbacked("rollouts", 0, "verdict", value={**EXACT, "exact": False})
    assert unbacked("announced", "by")
    assert unbacked("announced", "text")
    assert found(lambda proof: proof["entries"][0]["entry"].update(reason="other")) == "changed"
    assert found(lambda proof: proof["entries"][0]["path"].pop()) == "no proof"
    assert found(lambda proof: proof["checkpoints"][0].update(at=0)) == "bad signature"
    assert found(lambda proof: proof.update(keys=[])) == "unknown key"
    with pytest.raises(verifier.Unreadable):
        found(lambda proof: proof.update(proof="release-proof/1"))
