"""What is kept of a statement is how it is written, never what was found."""

import pytest
from django.db import DatabaseError
from pytest_django import DjangoAssertNumQueries

from portal import clock
from portal.people.models import RoleAssignment, Team, User
from portal.statements import Given, Question, Statement, hold_related, save
from tests.people import Cast, person

pytestmark = pytest.mark.django_db

HELD = Question(
    lambda: (
        RoleAssignment.objects.select_related("user")
        .defer("user__password")
        .annotate(read_at=clock.NOW)
        .filter(role__among=Given("roles"), scope=Given("scope"), revoked_at=None)
        .order_by("user__username")
    )
)


def test_a_question_finds_what_is_there_each_time_it_is_asked(cast: Cast) -> None:
    for name in ("eun", "dal"):
        person(name, ("qa", "service:one"))
    person("ara", ("qa", "service:two"))
    found = HELD.ask(roles=["qa", "pl"], scope="service:one")
    assert [each.user.username for each in found] == ["dal", "eun"]
    RoleAssignment.objects.filter(user__username="dal").update(revoked_at=clock.now())
    assert [each.user.username for each in HELD.ask(roles=["qa"], scope="service:one")] == ["eun"]
    assert HELD.ask(roles=["pl"], scope="service:one") == []
    assert HELD.ask(roles=[], scope="service:one") == []


def test_its_objects_are_those_of_the_queryset(
    cast: Cast, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    person("eun", ("qa", "service:one"))
    with django_assert_num_queries(1):
        (found,) = HELD.ask(roles=["qa"], scope="service:one")
        assert found.user.name
        assert found.read_at  # type: ignore[attr-defined]  # annotated
    same = RoleAssignment.objects.get(pk=found.pk)
    assert found == same
    assert {**vars(found), "_state": 0, "read_at": 0} == {**vars(same), "_state": 0, "read_at": 0}
    assert found.user.password == same.user.password


def test_a_statement_gives_objects_with_what_stands_beside(cast: Cast) -> None:
    team = Team.objects.create(key="one", title="One", source={"a": [1, None, "é"]})
    asked = Statement(
        Team,
        "SELECT {columns}, 7 FROM people_team AS own WHERE id = %s",
        table="own",
        beside=("seven",),
    )
    (found,) = asked.ask(team.pk)
    assert found == team
    assert found.source == team.source
    assert found.seven == 7  # type: ignore[attr-defined]  # beside
    assert asked.ask(0) == []


def test_only_the_named_fields_are_stored(
    cast: Cast, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    team = Team.objects.create(key="one", title="One")
    team.title, team.source, team.key = "Two", {"b": '"\\ %s'}, "two"
    with django_assert_num_queries(1):
        save(team, ["title", "source"])
    stored = Team.objects.get(pk=team.pk)
    assert (stored.key, stored.title, stored.source) == ("one", "Two", {"b": '"\\ %s'})


def test_a_row_that_is_gone_is_not_stored_silently(cast: Cast) -> None:
    team = Team.objects.create(key="one", title="One")
    Team.objects.all().delete()
    with pytest.raises(DatabaseError):
        save(team, ["title"])


def test_what_is_held_is_asked_no_more_and_what_is_narrower_still_is(
    cast: Cast, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    person("eun", ("qa", "service:one"), ("pl", "service:one"))
    eun = User.objects.get(username="eun")
    rows = HELD.ask(roles=["qa", "pl"], scope="service:one")
    hold_related(eun, "assignments", rows)
    with django_assert_num_queries(0):
        assert list(eun.assignments.all()) == rows
    assert [each.role for each in eun.assignments.filter(role="pl")] == ["pl"]
