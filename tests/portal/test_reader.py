"""What is asked about the reader of a page: once for all its parts, and anew for everything else."""

from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from approvals.calendar.operations import stop_line
from portal.people.models import User
from portal.people.operations import revoke_role
from portal.reader import Reader, reader_of
from tests.factories import Shop, registry, shop
from tests.people import BY_THE_PORTAL, Cast

__all__ = ["registry", "shop"]


def statements(user: User, path: str) -> list[str]:
    """What a page asks of the database."""
    client = Client()
    client.force_login(user)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == 200
    return [each["sql"] for each in captured]


def test_a_page_asks_once_for_the_roles_and_nothing_more_where_nothing_is_open(shop: Shop) -> None:
    asked = statements(shop.cast.author, "/releases/")
    assert sum("people_roleassignment" in each for each in asked) == 1
    assert not [each for each in asked if "approvals_requirement" in each or "releases_check" in each]


def test_a_page_asks_at_once_for_what_nearly_never_is(shop: Shop) -> None:
    asked = statements(shop.cast.author, "/board/")
    rare = ("calendar_freeze", "incidents_incident", "approvals_policyproposal", "clock_timestamp()")
    assert [[name in each for name in rare] for each in asked if any(name in each for name in rare)] == [
        [True] * len(rare)
    ]


def test_the_next_page_is_told_anew_what_nearly_never_is(shop: Shop) -> None:
    client = Client()
    client.force_login(shop.cast.author)
    stopped = "Payments are lost"
    assert stopped not in client.get("/board/").content.decode()
    stop_line(actor=BY_THE_PORTAL, reason=stopped)
    assert stopped in client.get("/board/").content.decode()


def test_the_next_page_asks_for_the_roles_anew(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.director)
    assert 'href="/audit/"' in client.get("/releases/").content.decode()
    revoke_role("director", role="director", scope="*", actor=BY_THE_PORTAL)
    assert 'href="/audit/"' not in client.get("/releases/").content.decode()


def test_who_signs_in_on_the_way_is_another_reader(cast: Cast) -> None:
    request = RequestFactory().get("/")
    assert reader_of(request) is None
    request.user = cast.author
    first = reader_of(request)
    assert first is not None
    assert reader_of(request) is first
    request.user = cast.pl
    second = reader_of(request)
    assert second is not None
    assert (second.user, second.roles) == (cast.pl, frozenset({("pl", "service:shopping-service")}))


def test_a_closed_account_holds_nothing(cast: Cast) -> None:
    cast.pl.is_active = False
    cast.pl.save(update_fields=["is_active"])
    assert not Reader(cast.pl).holds("pl")


def test_a_question_is_put_once(cast: Cast) -> None:
    asked: list[Reader] = []
    reader = Reader(cast.pl)
    assert [reader.once(asked.append) for _part in range(3)] == [None] * 3
    assert asked == [reader]
