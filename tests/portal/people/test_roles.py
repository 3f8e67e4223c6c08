"""Who may hold what, and who may change it."""

import pytest
from django.contrib.auth.models import Group
from django.utils import translation

from portal.actors import Actor
from portal.audit.models import AuditEntry
from portal.errors import Conflict, Invalid, NotAllowed, NotFound
from portal.people import queries
from portal.people.models import Role, User
from portal.people.operations import (
    change_person,
    create_person,
    deactivate_person,
    grant_role,
    revoke_role,
    set_roles,
)
from tests.people import BY_THE_PORTAL, Cast, acting, person

TEAM = "team:commerce"


def groups_of(user: User) -> set[str]:
    return set(user.groups.values_list("name", flat=True))


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


@pytest.mark.django_db
def test_a_new_person_holds_nothing_and_is_in_the_group_everyone() -> None:
    user = create_person("minji", actor=BY_THE_PORTAL, name="김민지")
    assert queries.capacities(user) == []
    assert groups_of(user) == {"everyone"}
    assert not user.has_usable_password()


@pytest.mark.django_db
def test_groups_follow_roles_granted_and_revoked() -> None:
    user = person("minji", (Role.PL, "service:order-api"), (Role.TEAM_LEAD, TEAM))
    assert groups_of(user) == {"everyone", "pl@service:order-api", f"team_lead@{TEAM}"}
    revoke_role("minji", role=Role.PL, scope="service:order-api", actor=BY_THE_PORTAL)
    assert groups_of(user) == {"everyone", f"team_lead@{TEAM}"}
    assert queries.capacities(user) == [["team_lead", TEAM]]


@pytest.mark.django_db
def test_holders_are_active_people_with_exactly_this_role_and_scope() -> None:
    lead = person("lead", (Role.TEAM_LEAD, TEAM))
    person("gone", (Role.TEAM_LEAD, TEAM))
    person("other", (Role.TEAM_LEAD, "team:content"))
    deactivate_person("gone", actor=BY_THE_PORTAL)
    assert list(queries.holders(Role.TEAM_LEAD, TEAM)) == [lead]


@pytest.mark.django_db
def test_set_roles_grants_what_is_missing_and_ends_what_is_left_over() -> None:
    user = person("minji", (Role.PL, "service:a"), (Role.PL, "service:b"))
    set_roles("minji", wanted=[(Role.PL, "service:b"), (Role.QA, "*")], actor=BY_THE_PORTAL)
    assert queries.capacities(user) == [["pl", "service:b"], ["qa", "*"]]
    assert acts()[-2:] == ["role.revoked", "role.granted"]


@pytest.mark.django_db
def test_granting_twice_records_once() -> None:
    person("minji", (Role.QA, "*"))
    before = acts()
    grant_role("minji", role=Role.QA, scope="*", actor=BY_THE_PORTAL)
    assert acts() == before


def test_an_administrator_grants_and_is_named_in_the_record(cast: Cast) -> None:
    grant_role("outsider", role=Role.QA, scope="*", actor=acting(cast.administrator))
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.actor, entry.subject) == ("role.granted", "administrator", "outsider")


@pytest.mark.parametrize("who", ["author", "pl", "team_lead", "director", "auditor", "outsider"])
def test_nobody_but_an_administrator_changes_people(cast: Cast, who: str) -> None:
    actor = acting(getattr(cast, who))
    before = acts()
    for attempt in (
        lambda: grant_role("qa", role=Role.PL, scope="service:x", actor=actor),
        lambda: revoke_role("qa", role=Role.QA, scope="*", actor=actor),
        lambda: set_roles("qa", wanted=[], actor=actor),
        lambda: create_person("new", actor=actor, name="New"),
        lambda: deactivate_person("qa", actor=actor),
        lambda: change_person("qa", actor=actor, name="Q"),
    ):
        with pytest.raises(NotAllowed):
            attempt()
    assert acts() == before


def test_an_administrator_changes_neither_their_own_roles_nor_account(cast: Cast) -> None:
    actor = acting(cast.administrator)
    with pytest.raises(NotAllowed):
        grant_role("administrator", role=Role.TEAM_LEAD, scope=TEAM, actor=actor)
    with pytest.raises(NotAllowed):
        set_roles("administrator", wanted=[(Role.DIRECTOR, "*")], actor=actor)
    with pytest.raises(NotAllowed):
        deactivate_person("administrator", actor=actor)


def test_a_token_without_the_scope_admin_does_not_reach_people(cast: Cast) -> None:
    actor = Actor(user=cast.administrator, door="api", token="rp_1", scopes=frozenset({"read"}))
    with translation.override("en"), pytest.raises(NotAllowed, match="scope admin"):
        grant_role("outsider", role=Role.QA, scope="*", actor=actor)


def test_an_auditor_holds_no_other_role(cast: Cast) -> None:
    with pytest.raises(Invalid):
        grant_role("auditor", role=Role.PL, scope="service:a", actor=BY_THE_PORTAL)
    with pytest.raises(Invalid):
        set_roles("author", wanted=[(Role.AUDITOR, "*"), (Role.QA, "*")], actor=BY_THE_PORTAL)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "scope"),
    [("boss", "*"), (Role.PL, "commerce"), (Role.PL, "team:"), (Role.PL, "team:a b"), (Role.AUDITOR, TEAM)],
)
def test_a_role_or_scope_that_does_not_exist_is_refused(role: str, scope: str) -> None:
    person("minji")
    with pytest.raises(Invalid) as refusal:
        grant_role("minji", role=role, scope=scope, actor=BY_THE_PORTAL)
    assert len(refusal.value.missing) == 1


@pytest.mark.django_db
def test_a_closed_account_loses_its_roles_and_is_given_none() -> None:
    user = person("minji", (Role.PL, "service:a"))
    deactivate_person("minji", actor=BY_THE_PORTAL)
    user.refresh_from_db()
    assert queries.capacities(user) == []
    assert groups_of(user) == set()
    with pytest.raises(Conflict):
        grant_role("minji", role=Role.PL, scope="service:a", actor=BY_THE_PORTAL)


@pytest.mark.django_db
def test_every_fault_of_a_new_account_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refusal:
        create_person(
            "so\nso", actor=BY_THE_PORTAL, name="", email="nowhere", time_zone="Moon/Base", password="1"
        )
    fields = {entry["field"] for entry in refusal.value.missing}
    assert fields == {"username", "name", "email", "time_zone", "password"}


@pytest.mark.django_db
def test_a_name_is_taken_whatever_its_case() -> None:
    person("minji")
    with translation.override("en"), pytest.raises(Invalid, match="not made"):
        create_person("MinJi", actor=BY_THE_PORTAL, name="Another")


def test_people_choose_their_own_language_and_nothing_else(cast: Cast) -> None:
    changed = change_person("outsider", actor=acting(cast.outsider), language="en")
    assert changed.language == "en"
    with pytest.raises(NotAllowed):
        change_person("outsider", actor=acting(cast.outsider), email="a@example.com")


@pytest.mark.django_db
def test_a_person_who_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound):
        grant_role("nobody", role=Role.QA, scope="*", actor=BY_THE_PORTAL)
    assert not Group.objects.filter(name="qa@*").exists()
