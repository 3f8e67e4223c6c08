"""The report counts incidents by system and week, and how long it took to close them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from html import unescape
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from releases.catalog import rights
from releases.catalog.models import Environment, Service
from releases.incidents.models import Incident
from releases.rollouts.rhythm.incidents import IncidentFigures
from releases.rollouts.rhythm.period import Asked
from releases.rollouts.rhythm.report import report
from tests.factories import Shop, make_service
from tests.people import person
from tests.portal.api import ApiClient
from tests.soak import examples, long

BEGIN = datetime(2026, 3, 2, 12, tzinfo=UTC)
SEOUL = ZoneInfo("Asia/Seoul")
ASKED = Asked(start=date(2026, 3, 2), end=date(2026, 3, 29))
PERIOD = "?from=2026-03-02&to=2026-03-29"
PLACES = (("shopping-service", "shop-production"), ("cart", "kiosk"))


@pytest.fixture
def kiosk(shop: Shop) -> Environment:
    """An environment of another system, with a service."""
    found = Environment.objects.create(
        name="kiosk", system="kiosk", stage="production", cluster=shop.environment.cluster, namespace="k"
    )
    make_service("cart", shop.shopping.team, found)
    rights.grant()
    return found


def trouble(
    place: tuple[str, str] = PLACES[0],
    *,
    opened: datetime = BEGIN,
    unseen: int = 5,
    minutes: int | None = 30,
) -> Incident:
    """An incident that began `unseen` minutes before it was opened, closed after so many minutes."""
    ended = None if minutes is None else opened + timedelta(minutes=minutes)
    return Incident.objects.create(
        service=Service.objects.get(name=place[0]),
        environment=Environment.objects.get(name=place[1]),
        title="x",
        state="closed" if ended else "ongoing",
        began_at=opened - timedelta(minutes=unseen),
        opened_at=opened,
        closed_at=ended,
        cause="y" if ended else "",
    )


def counted(rows: Sequence[IncidentFigures]) -> dict[Any, tuple[Any, ...]]:
    """Figures as the recount has them, without empty rows."""
    spans = ("restore_seconds", "whole_seconds", "longest_seconds")
    return {
        row.key: (row.incidents, row.ongoing, *(getattr(row, span) for span in spans))
        for row in rows
        if row.incidents
    }


def recount(found: Sequence[Incident]) -> tuple[Any, ...]:
    """The same, plainly."""
    closed = [(each, each.closed_at) for each in found if each.closed_at]
    restores = [(end - each.opened_at).total_seconds() for each, end in closed]
    wholes = [(end - each.began_at).total_seconds() for each, end in closed]
    spans = [
        measure(values) if values else None for measure, values in ((median, restores), (median, wholes))
    ]
    return len(found), len(found) - len(closed), *spans, max(restores, default=None)


def recounted(found: Sequence[Incident], by: Any) -> dict[Any, tuple[Any, ...]]:
    """Each group recounted."""
    return {key: recount([each for each in found if by(each) == key]) for key in {by(each) for each in found}}


def monday(incident: Incident) -> date:
    """The week in which it was opened, in Seoul."""
    day = incident.opened_at.astimezone(SEOUL).date()
    return day - timedelta(days=day.weekday())


histories = st.lists(
    st.tuples(
        st.sampled_from(PLACES),
        st.integers(-40, 27 * 24),
        st.integers(0, 90),
        st.none() | st.integers(0, 500),
    ),
    max_size=8,
)


@long
@pytest.mark.repeated
@settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=examples(8, soaking=100),
    suppress_health_check=list(HealthCheck),
)
@given(history=histories)
def test_every_figure_is_what_a_plain_recount_finds(
    shop: Shop, kiosk: Environment, history: list[tuple[Any, ...]]
) -> None:
    Incident.objects.all().delete()
    is_open = set()
    made = []
    for place, hours, unseen, minutes in history:
        if minutes is None and place in is_open:
            continue
        is_open |= {place} if minutes is None else set()
        opened = BEGIN + timedelta(hours=hours)
        made.append(trouble(place, opened=opened, unseen=unseen, minutes=minutes))
    inside = [each for each in made if ASKED.start <= each.opened_at.astimezone(SEOUL).date() <= ASKED.end]
    with timezone.override(SEOUL):
        found = report(shop.cast.auditor, ASKED).incidents
    assert counted(found.systems) == recounted(inside, lambda each: each.environment.system)
    assert counted(found.weeks) == recounted(inside, monday)
    assert counted([found.total]) == recounted(inside, lambda _each: "all")
    assert [row.key for row in found.weeks] == ASKED.mondays


@long
def test_page_api_and_files_tell_the_same(shop: Shop, kiosk: Environment) -> None:
    trouble(minutes=60)
    trouble(PLACES[1], minutes=None)
    client = Client(headers={"accept-language": "en"})
    client.force_login(shop.cast.auditor)
    page = unescape(client.get(f"/reports/{PERIOD}").content.decode())
    section = page.partition('id="incidents"')[2].partition("</table>")[0]
    for words in ("shop", "kiosk", "1 h", "1 h 5 min", "Together"):
        assert words in section, words
    told = ApiClient(shop.cast.auditor).get(f"/rhythm{PERIOD}").json()["incidents"]
    assert [(row["key"], row["incidents"], row["ongoing"]) for row in told["systems"]] == [
        ("kiosk", 1, 1),
        ("shop", 1, 0),
    ]
    assert (told["total"]["restore_seconds"], told["total"]["whole_seconds"]) == (3600, 3900)
    rows = client.get(f"/reports/incidents.csv{PERIOD}").content.decode("utf-8-sig").split()
    assert rows == [
        "system,incidents,ongoing,restore_seconds,whole_seconds,longest_seconds",
        "kiosk,1,1,,,",
        "shop,1,0,3600.0,3900.0,3600.0",
    ]
    weeks = client.get(f"/reports/incident-weeks.csv{PERIOD}").content.decode("utf-8-sig").split()
    assert weeks[1:3] == ["2026-03-02,2,1,3600.0,3900.0,3600.0", "2026-03-09,0,0,,,"]


def test_the_filters_narrow_them_and_nobody_counts_what_they_may_not_see(
    shop: Shop, kiosk: Environment
) -> None:
    trouble()
    trouble(PLACES[1])
    asked = {"start": ASKED.start, "end": ASKED.end}
    for narrow in ({"service": "cart"}, {"environment": "kiosk"}):
        found = report(shop.cast.auditor, Asked(**asked, **narrow)).incidents  # type: ignore[arg-type]
        assert [row.key for row in found.systems] == ["kiosk"]
    kiosk.spec["visibility"] = "private"
    kiosk.save()
    rights.grant()
    assert [row.key for row in report(person("stranger"), ASKED).incidents.systems] == ["shop"]
