"""The restore of a database: its own request and right, grade D, asked twice, and by no other road."""

from typing import Any

import pytest
from django.test import Client

from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.people.models import User
from releases import operations
from releases.models import Release
from releases.rollouts.graph import build_graph
from releases.rollouts.members import Member
from releases.rollouts.models import Rollout
from releases.rollouts.operations import start_rollout
from releases.schedules.models import Backup
from releases.schedules.restoring import request_restore
from tests.factories import Shop, approve_all, make_release, runs
from tests.people import acting
from tests.portal.api import ApiClient
from tests.soak import long

NAME, ENV = "shopping-service", "shop-production"
JOBS = [
    {"name": "backup", "cronJob": "backup", "purpose": "backup", "touches": []},
    {"name": "restore", "cronJob": "restore", "purpose": "restore"},
]
ASKED = {"backup": "nightly-1", "confirm": NAME}


@pytest.fixture
def backup(shop: Shop) -> Backup:
    """A backup of a service that can be restored and is known to run."""
    shop.shopping.spec["jobs"] = JOBS
    shop.shopping.save(update_fields=["spec"])
    runs(shop.shopping, shop.environment, "2.7.4")
    return Backup.objects.create(
        service=shop.shopping, environment=shop.environment, name="nightly-1", made_at=clock.now(), rows=120
    )


def asked(user: User, **changes: Any) -> Release:
    return request_restore(NAME, ENV, {**ASKED, **changes}, actor=acting(user))


def approved(shop: Shop, user: User) -> Release:
    release = operations.submit_release(asked(user).number, actor=acting(user))
    approve_all(release)
    release.refresh_from_db()
    return release


def test_it_is_a_release_of_grade_d_whose_seal_names_the_backup(shop: Shop, backup: Backup) -> None:
    release = asked(shop.cast.pl)
    assert release.grade == "D"
    sealed = release.content["operation"]
    assert (sealed["kind"], sealed["backup"], sealed["rows"]) == ("restore_database", "nightly-1", 120)
    before = release.content_digest
    Release.objects.filter(pk=release.pk).update(operation={**release.operation, "backup": "other"})
    submitted = operations.submit_release(release.number, actor=acting(shop.cast.pl))
    assert submitted.content_digest != before


@pytest.mark.parametrize("who", ["pl", "team_lead"])
def test_who_leads_the_service_may_ask(shop: Shop, backup: Backup, who: str) -> None:
    assert asked(getattr(shop.cast, who)).author == getattr(shop.cast, who)


@long
@pytest.mark.parametrize(
    "who", ["author", "infra_senior", "director", "qa", "auditor", "administrator", "outsider"]
)
def test_nobody_else_may_ask_or_start_through_any_door(shop: Shop, backup: Backup, who: str) -> None:
    user = getattr(shop.cast, who)
    with pytest.raises(NotAllowed):
        asked(user)
    assert ApiClient(user).post(f"/services/{NAME}/{ENV}/restores", ASKED).status_code == 403
    client = Client()
    client.force_login(user)
    assert client.get(f"/environments/{ENV}/backups/{backup.pk}/restore/").status_code == 403
    assert "/restore/" not in client.get(f"/environments/{ENV}/schedules/").content.decode()
    release = approved(shop, shop.cast.pl)
    with pytest.raises((NotAllowed, NotFound)):
        start_rollout(release.number, actor=acting(user), confirmed=NAME)


@long
def test_it_is_asked_twice_by_typing_the_services_name(shop: Shop, backup: Backup) -> None:
    with pytest.raises(Invalid) as first:
        asked(shop.cast.pl, confirm="payment-service")
    assert [each["field"] for each in first.value.missing] == ["confirm"]
    assert not Release.objects.exists()
    release = approved(shop, shop.cast.pl)
    client = Client()
    client.force_login(shop.cast.pl)
    page = f"/releases/{release.number}/start/"
    assert 'name="confirm"' in client.get(page).content.decode()
    assert client.post(page).status_code == 422
    assert not Rollout.objects.exists()
    assert client.post(page, {"confirm": NAME}).status_code == 302
    step = Rollout.objects.get().steps.get(kind="restore_database")
    assert (step.params["backup"], step.params["rows"]) == ("nightly-1", 120)


@long
def test_the_api_asks_twice_as_well(shop: Shop, backup: Backup) -> None:
    api = ApiClient(shop.cast.pl)
    assert api.post(f"/services/{NAME}/{ENV}/restores", {**ASKED, "confirm": ""}).status_code == 422
    made = api.post(f"/services/{NAME}/{ENV}/restores", ASKED)
    assert (made.status_code, made.json()["grade"]) == (201, "D")
    number = made.json()["number"]
    operations.submit_release(number, actor=acting(shop.cast.pl))
    approve_all(Release.objects.get(pk=number))
    assert api.post(f"/releases/{number}/start").status_code == 422
    assert api.post(f"/releases/{number}/start", {"confirm": NAME}).status_code == 201


def test_its_own_author_and_one_approval_less_start_nothing(shop: Shop, backup: Backup) -> None:
    release = operations.submit_release(asked(shop.cast.pl).number, actor=acting(shop.cast.pl))
    with pytest.raises(Conflict) as refusal:
        start_rollout(release.number, actor=acting(shop.cast.pl), confirmed=NAME)
    assert refusal.value.code == "not_approved"


def test_it_is_no_lower_grade_and_no_emergency(shop: Shop, backup: Backup) -> None:
    release = asked(shop.cast.pl)
    for grade in ("B", "E"):
        with pytest.raises(Invalid):
            operations.edit_release(
                release.number, {"grade": grade}, actor=acting(shop.cast.pl), if_match=release.content_digest
            )


@long
def test_it_does_not_start_by_itself_at_a_time(shop: Shop, backup: Backup) -> None:
    release = approved(shop, shop.cast.pl)
    with pytest.raises(Conflict):
        operations.schedule_release(release.number, actor=acting(shop.cast.pl), window="next")


def test_no_other_release_restores(shop: Shop, backup: Backup) -> None:
    """Neither an operation, nor a plan, nor the copy of a restore leads around the question."""
    lead = acting(shop.cast.pl)
    for data in ({"kind": "run_job", "job": "restore"}, {"kind": "restore_database", "backup": "nightly-1"}):
        with pytest.raises(Invalid):
            operations.create_operation(NAME, ENV, data, actor=lead)
    with pytest.raises(Invalid):
        operations.duplicate_release(asked(shop.cast.pl).number, actor=lead)
    step = {"kind": "run_job", "service": NAME, "job": "restore"}
    plan = {"waves": [{"services": [NAME], "before": [step]}]}
    with pytest.raises(Invalid) as refusal:
        build_graph(plan, [Member(name=NAME, spec=shop.shopping.spec)])
    assert [each["field"] for each in refusal.value.missing] == ["plan.waves[0].before[0].job"]


@long
def test_no_page_offers_a_copy_of_a_restore(shop: Shop, backup: Backup) -> None:
    release = approved(shop, shop.cast.pl)
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.pl)
    page = f"/releases/{release.number}/"
    assert "/duplicate/" not in client.get(page).content.decode()
    Release.objects.filter(pk=release.pk).update(state="rolled_back")
    over = client.get(page).content.decode()
    assert "/duplicate/" not in over
    assert "A restore is asked for anew, at its backup." in over


def test_a_backup_that_is_gone_or_of_another_is_not_restored(shop: Shop, backup: Backup) -> None:
    backup.removed_at = clock.now()
    backup.save(update_fields=["removed_at"])
    with pytest.raises(Invalid):
        asked(shop.cast.pl)
    Backup.objects.create(
        service=shop.payment, environment=shop.environment, name="nightly-2", made_at=clock.now()
    )
    with pytest.raises(Invalid):
        asked(shop.cast.pl, backup="nightly-2")


def test_a_refusal_is_one_line_in_the_record(shop: Shop, backup: Backup) -> None:
    before = AuditEntry.objects.count()
    with pytest.raises(NotAllowed):
        asked(shop.cast.author)
    assert AuditEntry.objects.count() == before + 1
    assert not Release.objects.exists()


@long
def test_an_ordinary_release_needs_no_name_typed(shop: Shop, backup: Backup) -> None:
    shop.plan.spec = {"waves": [{"services": [NAME]}]}
    shop.plan.save(update_fields=["spec"])
    release = make_release(shop, at="approved")
    assert start_rollout(release.number, actor=acting(shop.cast.author)).state == "queued"
