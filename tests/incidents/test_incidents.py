"""Incidents: one at a place, told to the team, measured from when the trouble began, closed with a cause."""

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from portal import clock
from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.outbox.models import Message
from portal.people.models import RoleAssignment, User
from releases.catalog import rights
from releases.catalog.models import Environment
from releases.incidents import operations, queries
from releases.incidents.models import Entry, Incident
from releases.incidents.queries import RecoveryClock
from releases.models import Release
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release, runs
from tests.incidents.conftest import open_here
from tests.people import Cast, acting, person
from tests.soak import long

EVERYBODY = {field.name for field in fields(Cast)}
# Who carries rollouts on in the environment.
MAY = {"author", "pl", "team_lead", "infra_senior", "director"}


def record_of(incident: Incident) -> list[str]:
    """What the record says of it, in its order."""
    found = AuditEntry.objects.filter(subject_kind="incident", subject=str(incident.number))
    return list(found.order_by("id").values_list("action", flat=True))


def test_who_presses_second_comes_to_the_same_incident(shop: Shop, incident: Incident) -> None:
    place = (shop.shopping.name, shop.environment.name)
    again = operations.open_incident(*place, actor=acting(shop.cast.pl))
    assert again == (incident, False)
    assert record_of(incident) == ["incident.opened"]
    operations.close_incident(incident.number, actor=acting(shop.cast.pl), cause="A full disk")
    new, is_new = operations.open_incident(*place, actor=acting(shop.cast.pl))
    assert (is_new, new.number != incident.number) == (True, True)


def test_its_title_says_what_is_seen_where_nobody_says_it(shop: Shop) -> None:
    row = runs(shop.shopping, shop.environment, "2.7.4")
    row.seen |= {"health": "degraded", "text": "0/2 ready"}
    row.save()
    assert open_here(shop).title == f"shopping-service ({shop.environment}): 0/2 ready"


def test_every_act_is_kept_and_recorded_and_none_follows_the_end(shop: Shop, incident: Incident) -> None:
    actor, number = acting(shop.cast.pl), incident.number
    release = make_release(shop)
    operations.note(number, actor=actor, text="The disk is full.")
    operations.link_release(number, release.number, actor=actor)
    operations.link_release(number, release.number, actor=actor)
    operations.tell_team(number, actor=actor, text="We are on it.")
    closed = operations.close_incident(number, actor=actor, cause="Logs were never rotated.")
    assert [(each.kind, each.by) for each in incident.entries.all()] == [
        ("note", shop.cast.pl),
        ("linked", shop.cast.pl),
        ("told", shop.cast.pl),
    ]
    assert record_of(incident) == [
        f"incident.{act}" for act in ("opened", "noted", "linked", "told", "closed")
    ]
    assert (closed.cause, closed.closed_by) == ("Logs were never rotated.", shop.cast.pl)
    for late in acts(incident, actor, release.number):
        with pytest.raises(Conflict):
            late()


def acts(incident: Incident, actor: Actor, release: int) -> list[Callable[[], object]]:
    """Everything that can be done to an open one."""
    number = incident.number
    return [
        lambda: operations.note(number, actor=actor, text="x"),
        lambda: operations.tell_team(number, actor=actor, text="x"),
        lambda: operations.link_release(number, release, actor=actor),
        lambda: operations.close_incident(number, actor=actor, cause="x"),
    ]


def test_a_notice_goes_to_everybody_with_a_role_in_the_service_or_its_team_once(
    shop: Shop, incident: Incident
) -> None:
    entry = operations.tell_team(incident.number, actor=acting(shop.cast.author), text="We are on it.")
    told = Message.objects.filter(key__startswith="incident.").order_by("key")
    assert {each.person_id for each in told} == {
        each.pk for each in (shop.cast.author, shop.cast.pl, shop.cast.team_lead)
    }
    assert (entry.told, told[0].body, told[0].link) == (3, "We are on it.", f"/incidents/{incident.number}/")


def test_a_notice_goes_to_who_brings_the_service_out_there_by_whatever_scope(
    shop: Shop, incident: Incident
) -> None:
    person("by-place", ("release_manager", "environment:shop-production"))
    person("everywhere", ("release_manager", "*"))
    person("elsewhere", ("release_manager", "environment:shop-staging"))
    operations.tell_team(incident.number, actor=acting(shop.cast.author), text="We are on it.")
    assert told() == {"author", "pl", "lead", "by-place", "everywhere"}


def told() -> set[str]:
    """Who was sent a notice of an incident."""
    return {each.key.rpartition(":")[2] for each in Message.objects.filter(key__startswith="incident.")}


def test_where_nobody_would_be_told_the_administrators_are(shop: Shop, incident: Incident) -> None:
    others = RoleAssignment.objects.exclude(user__in=[shop.cast.administrator, shop.cast.director])
    others.update(revoked_at=clock.now())
    operations.tell_team(incident.number, actor=acting(shop.cast.director), text="We are on it.")
    assert told() == {"administrator"}


@pytest.mark.parametrize("text", ["", "  ", "x" * 4_001, "a\x1b[31m"])
def test_words_that_say_nothing_or_obey_a_terminal_are_refused(incident: Incident, text: str) -> None:
    actor = Actor(user=incident.opened_by)
    for act in (operations.note, operations.tell_team):
        with pytest.raises(Invalid):
            act(incident.number, actor=actor, text=text)
    with pytest.raises(Invalid):
        operations.close_incident(incident.number, actor=actor, cause=text)
    assert not Entry.objects.exists()


def test_only_releases_of_the_environment_are_linked(shop: Shop, incident: Incident) -> None:
    release = make_release(shop)
    elsewhere = Environment.objects.create(
        name="shop-staging", system="shop", stage="staging", cluster=shop.environment.cluster, namespace="s"
    )
    rights.grant()
    Release.objects.filter(pk=release.pk).update(environment=elsewhere)
    for number in (release.number, release.number + 1):
        with pytest.raises(Invalid):
            operations.link_release(incident.number, number, actor=acting(shop.cast.pl))
    assert not Entry.objects.exists()


def test_the_trouble_began_when_the_rollout_failed_and_its_release_is_linked(shop: Shop) -> None:
    release = make_release(shop, at="rolling_out")
    rollout = release.rollouts.get()
    failed_at = clock.now() - timedelta(minutes=7)
    Rollout.objects.filter(pk=rollout.pk).update(state="failed", failed_at=failed_at)
    incident = open_here(shop, rollout=rollout.pk)
    assert incident.began_at == failed_at
    assert [each.release for each in incident.entries.all()] == [release]


def test_a_rollout_of_another_service_is_none_of_its(shop: Shop) -> None:
    release = make_release(shop, at="rolling_out", items=[{"service": "auth-service", "version": "2"}])
    with pytest.raises(NotFound):
        open_here(shop, rollout=release.rollouts.get().pk)


def test_a_rollout_that_failed_as_a_whole_opens_one_for_each_of_its_services(
    shop: Shop, incident: Incident
) -> None:
    items = [{"service": name, "version": "2.8.0"} for name in ("shopping-service", "auth-service")]
    rollout = make_release(shop, at="rolling_out", items=items).rollouts.get()
    found = operations.open_for_rollout(rollout.pk, actor=acting(shop.cast.pl))
    assert [each.service.name for each in found] == ["shopping-service", "auth-service"]
    assert found[0] == incident, "who is first is met, not repeated"
    with pytest.raises(NotFound):
        operations.open_for_rollout(rollout.pk, "payment-service", actor=acting(shop.cast.pl))
    with pytest.raises(NotFound):
        operations.open_for_rollout(rollout.pk + 1, actor=acting(shop.cast.pl))


def test_what_is_called_and_since_when_is_corrected_with_what_it_was(shop: Shop, incident: Incident) -> None:
    actor, began = acting(shop.cast.pl), incident.began_at
    since = began - timedelta(minutes=40)
    operations.close_incident(incident.number, actor=actor, cause="A full disk")
    found = operations.correct_incident(incident.number, actor=actor, title=" Payments fail ", began_at=since)
    operations.correct_incident(incident.number, actor=actor, title="Payments fail")
    found.refresh_from_db()
    assert (found.title, found.began_at, found.state) == ("Payments fail", since, "closed")
    assert found.closed_at is not None
    assert queries.clock_of(found).seconds == int((found.closed_at - since).total_seconds())
    [entry] = found.entries.all()
    assert (entry.kind, entry.by) == ("corrected", shop.cast.pl)
    said = next(each.text for each in queries.timeline(found, [], None) if each.what == "corrected")
    assert f"{incident.title} → Payments fail" in said
    assert record_of(incident)[2:] == ["incident.corrected"]
    body = json.loads(AuditEntry.objects.get(action="incident.corrected").body)
    assert body["before"] == {"title": incident.title, "began_at": began.isoformat()}
    assert body["after"]["began_at"] == since.isoformat()


def test_a_corrected_beginning_is_within_a_month_before_and_not_after_its_end(
    shop: Shop, incident: Incident
) -> None:
    actor, number = acting(shop.cast.pl), incident.number
    closed = operations.close_incident(number, actor=actor, cause="A full disk")
    assert closed.closed_at is not None
    second = timedelta(seconds=1)
    earliest = incident.opened_at - timedelta(days=30)
    for wrong in (earliest - second, closed.closed_at + second):
        with pytest.raises(Invalid) as refusal:
            operations.correct_incident(number, actor=actor, title="", began_at=wrong)
        assert [each["field"] for each in refusal.value.missing] == ["title", "began_at"]
    assert not incident.entries.exists()
    for right in (earliest, closed.closed_at):
        assert operations.correct_incident(number, actor=actor, began_at=right).began_at == right


def test_a_mistaken_link_is_taken_back_and_can_be_made_again(shop: Shop, incident: Incident) -> None:
    actor, number = acting(shop.cast.pl), incident.number
    release = make_release(shop)
    for _time in range(2):
        operations.link_release(number, release.number, actor=actor)
        assert list(queries.incidents_of(shop.cast.pl, release)) == [incident]
        operations.unlink_release(number, release.number, actor=actor)
        assert not queries.releases_of(incident, None).exists()
        assert not queries.incidents_of(shop.cast.pl, release).exists()
    assert [each.kind for each in incident.entries.all()] == ["linked", "unlinked"] * 2
    assert record_of(incident)[1:] == ["incident.linked", "incident.unlinked"] * 2
    for other in (release.number, release.number + 1):
        with pytest.raises(NotFound):
            operations.unlink_release(number, other, actor=actor)


@pytest.mark.parametrize("days", [-1, 31])
def test_the_beginning_lies_in_the_last_month(shop: Shop, days: int) -> None:
    with pytest.raises(Invalid):
        open_here(shop, began_at=clock.now() - timedelta(days=days))
    assert not Incident.objects.exists()


@long
def test_what_went_out_is_of_the_service_and_of_those_it_needs_or_that_need_it(shop: Shop) -> None:
    shop.shopping.spec["dependencies"] = ["auth-service"]
    shop.shopping.save()
    own, beside, far = (
        make_release(shop, at="rolling_out", items=[{"service": f"{name}-service", "version": "2"}])
        for name in ("shopping", "auth", "payment")
    )
    old = make_release(shop, at="rolling_out", items=[{"service": "shopping-service", "version": "1"}])
    long_ago = clock.now() - timedelta(hours=3)
    Rollout.objects.filter(release=old).update(state="succeeded", queued_at=long_ago, ended_at=long_ago)
    incident = open_here(shop)
    found = {each.rollout.release_id: each.is_own for each in queries.went_out(incident)}
    assert found == {own.number: True, beside.number: False}
    assert far.number not in found
    shop.payment.spec["dependencies"] = ["shopping-service"]
    shop.payment.save()
    assert far.number in {each.rollout.release_id for each in queries.went_out(incident)}


def test_an_emergency_that_names_the_incident_belongs_to_it(shop: Shop, incident: Incident) -> None:
    named = {"link": queries.link_of(incident), "reason": "payments fail"}
    release = make_release(shop, grade="E", incident=named)
    make_release(shop, grade="E", incident={"link": "https://x.example/1", "reason": "y"})
    assert list(queries.releases_of(incident, None)) == [release]
    happened = [each.what for each in queries.timeline(incident, [], None)]
    assert sorted(happened) == ["began", "drafted", "opened"]


def test_the_clock_runs_from_the_beginning_to_the_end(shop: Shop) -> None:
    shop.shopping.spec["recovery"] = {"rtoMinutes": 60}
    shop.shopping.save()
    incident = open_here(shop, began_at=clock.now() - timedelta(minutes=90))
    found = queries.clock_of(incident)
    assert (found.aim, found.is_missed) == (3_600, True)
    assert 5_400 <= found.seconds < 5_500
    closed = operations.close_incident(incident.number, actor=acting(shop.cast.pl), cause="x")
    assert closed.closed_at is not None
    took = int((closed.closed_at - closed.began_at).total_seconds())
    assert queries.clock_of(closed).seconds == took


@given(st.integers(0, 10**7), st.none() | st.integers(0, 10**6))
def test_an_aim_is_missed_only_once_it_is_past(seconds: int, aim: int | None) -> None:
    found = RecoveryClock(seconds=seconds, aim=aim, usual=None)
    assert found.is_missed == (aim is not None and seconds > aim)
    assert found.left is None or found.left + seconds == aim


@long
def test_only_who_carries_rollouts_on_there_gets_through(shop: Shop) -> None:
    release = make_release(shop)
    through: dict[int, set[str]] = {}
    for who in sorted(EVERYBODY):
        user: User = getattr(shop.cast, who)
        with transaction.atomic():
            for name, act in enumerate(everything(shop, user, release.number)):
                if gets_through(act):
                    through.setdefault(name, set()).add(who)
            transaction.set_rollback(True)
    assert through == dict.fromkeys(range(8), MAY)


def everything(shop: Shop, user: User, release: int) -> list[Callable[[], object]]:
    """Every operation as this person, on an incident that somebody else opened."""
    incident, actor = open_here(shop), acting(user)
    place = (shop.payment.name, shop.environment.name)
    rollout = make_release(shop, at="rolling_out").rollouts.get().pk
    return [
        lambda: operations.open_incident(*place, actor=actor),
        lambda: operations.open_for_rollout(rollout, actor=actor),
        *acts(incident, actor, release),
        *corrections(incident, actor, release),
    ]


def corrections(incident: Incident, actor: Actor, release: int) -> list[Callable[[], object]]:
    """What can be done to a closed one as well."""
    number = incident.number
    return [
        lambda: operations.correct_incident(number, actor=actor, title="x"),
        lambda: operations.unlink_release(number, release, actor=actor),
    ]


def gets_through(act: Callable[[], object]) -> bool:
    try:
        act()
    except NotAllowed:
        return False
    return True


def test_who_does_not_see_the_environment_finds_nothing(shop: Shop, incident: Incident) -> None:
    shop.environment.spec["visibility"] = "private"
    shop.environment.save()
    rights.grant()
    stranger = person("stranger")
    assert not queries.visible_incidents(stranger, view="all").exists()
    for act in everything_of(incident, stranger):
        with pytest.raises(NotFound):
            act()


def everything_of(incident: Incident, user: User) -> list[Callable[[], object]]:
    """Looking at it, opening one there, and all that can be done to it."""
    actor, place = acting(user), (incident.service.name, incident.environment.name)
    return [
        lambda: operations.find(incident.number, actor=actor),
        lambda: operations.open_incident(*place, actor=actor),
        *acts(incident, actor, 1),
        *corrections(incident, actor, 1),
    ]


def test_the_record_keeps_since_when_and_why(shop: Shop, incident: Incident) -> None:
    operations.close_incident(incident.number, actor=acting(shop.cast.pl), cause="A full disk")
    opened, closed = AuditEntry.objects.filter(subject_kind="incident").order_by("id")
    assert json.loads(opened.body)["after"]["began_at"] == incident.began_at.isoformat()
    assert json.loads(closed.body)["reason"] == "A full disk"
    assert {opened.service, closed.service} == {"shopping-service"}
