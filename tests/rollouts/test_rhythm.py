"""The report: its figures against a recount, its edges of days, who sees which, its files and its address."""

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal import clock
from portal.people.models import Team, User
from releases.catalog import rights
from releases.catalog.models import Environment, Service
from releases.models import Item, Release
from releases.rollouts.events import move_rollout
from releases.rollouts.models import Rollout
from releases.rollouts.rhythm.figures import Figures
from releases.rollouts.rhythm.period import Asked
from releases.rollouts.rhythm.report import report
from tests.factories import Shop, decide, make_environment, make_release, make_service, roll_out
from tests.people import BY_THE_PORTAL, person
from tests.portal.api import ApiClient
from tests.soak import examples, long

pytestmark = pytest.mark.django_db
SERVICES = ("shopping-service", "payment-service", "auth-service")
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
SEOUL = "Asia/Seoul"
KEYS: dict[str, Callable[[Rollout, Service, ZoneInfo], Any]] = {
    "teams": lambda _rollout, service, _zone: service.team.key,
    "services": lambda _rollout, service, _zone: service.name,
    "grades": lambda rollout, _service, _zone: rollout.release.grade,
    "people": lambda rollout, _service, _zone: rollout.started_by.username if rollout.started_by else "",
    "hours": lambda rollout, _service, zone: _hour(rollout, zone),
    "weeks": lambda rollout, _service, zone: _monday(rollout, zone),
}


def _local(rollout: Rollout, zone: ZoneInfo) -> datetime:
    assert rollout.started_at is not None
    return rollout.started_at.astimezone(zone)


def _hour(rollout: Rollout, zone: ZoneInfo) -> int:
    at = _local(rollout, zone)
    return at.weekday() * 24 + at.hour


def _monday(rollout: Rollout, zone: ZoneInfo) -> date:
    at = _local(rollout, zone)
    return at.date() - timedelta(days=at.weekday())


def deploy(
    shop: Shop,
    services: Sequence[str],
    *,
    started: datetime,
    minutes: int | None = 10,
    state: str = "succeeded",
    failed_after: int | None = None,
    grade: str = "B",
    environment: Environment | None = None,
) -> Rollout:
    """Rows of a release and its rollout, submitted an hour and drafted three hours before the start."""
    where = environment or shop.environment
    release = Release.objects.create(
        title="x",
        environment=where,
        author=shop.cast.author,
        grade=grade,
        created_at=started - timedelta(hours=3),
        changed_at=started,
        submitted_at=started - timedelta(hours=1),
    )
    for name in services:
        Item.objects.create(release=release, service=Service.objects.get(name=name), version="1")
    return Rollout.objects.create(
        release=release,
        environment=where,
        state=state,
        started_by=shop.cast.author,
        content_digest="sha256:0",
        queued_at=started,
        started_at=started,
        failed_at=None if failed_after is None else started + timedelta(minutes=failed_after),
        ended_at=None if minutes is None else started + timedelta(minutes=minutes),
    )


def asked(**changes: Any) -> Asked:
    """The weeks in which the histories of these tests play."""
    return Asked(**{"start": date(2026, 3, 2), "end": date(2026, 3, 29), **changes})


def counted(rows: Iterable[Figures]) -> dict[Any, tuple[Any, ...]]:
    """Figures as the recount has them, tables without their empty rows."""
    return {
        row.key: (
            row.deployments,
            row.failed,
            row.lead_seconds,
            row.whole_seconds,
            row.duration_seconds,
            row.restore_seconds,
            row.unrestored,
        )
        for row in rows
        if row.deployments
    }


def recount(key: Callable[[Rollout, Service, ZoneInfo], Any], zone: ZoneInfo) -> dict[Any, tuple[Any, ...]]:
    """The same figures in plain words, one rollout after the other."""
    groups: dict[Any, dict[int, tuple[Rollout, list[datetime | None]]]] = {}
    for rollout in Rollout.objects.select_related("release", "started_by"):
        for item in rollout.release.items.select_related("service__team"):
            group = groups.setdefault(key(rollout, item.service, zone), {})
            _rollout, restored = group.setdefault(rollout.pk, (rollout, []))
            restored.append(well_again(rollout, item.service))
    return {each: tuple(_figures(list(group.values()))) for each, group in groups.items()}


def well_again(rollout: Rollout, service: Service) -> datetime | None:
    """When the service stood well again after the rollout failed."""
    if rollout.failed_at is None:
        return None
    moments = [rollout.ended_at] if rollout.state in {"rolled_back", "succeeded"} else []
    for later in Rollout.objects.filter(state="succeeded", release__items__service=service):
        same = later.environment_id == rollout.environment_id and later.pk != rollout.pk
        if same and later.ended_at is not None and later.ended_at >= rollout.failed_at:
            moments.append(later.ended_at)
    return min((moment for moment in moments if moment is not None), default=None)


def _figures(group: list[tuple[Rollout, list[datetime | None]]]) -> Iterable[Any]:
    good = [rollout for rollout, _restored in group if rollout.state == "succeeded"]
    failed = [(rollout, restored) for rollout, restored in group if rollout.failed_at is not None]
    well = [(rollout, [at for at in restored if at]) for rollout, restored in failed if all(restored)]
    yield len(group)
    yield len(failed)
    yield _median((r.ended_at, r.release.submitted_at) for r in good)
    yield _median((r.ended_at, r.release.created_at) for r in good)
    yield _median((r.ended_at, r.started_at) for r, _restored in group)
    yield _median((max(restored), rollout.failed_at) for rollout, restored in well)
    yield len(failed) - len(well)


def _median(spans: Iterable[tuple[datetime | None, datetime | None]]) -> float | None:
    seconds = [(until - since).total_seconds() for until, since in spans if until and since]
    return median(seconds) if seconds else None


histories = st.lists(
    st.fixed_dictionaries(
        {
            "services": st.sets(st.sampled_from(SERVICES), min_size=1).map(sorted),
            "started": st.integers(0, 27 * 24 * 2).map(lambda half: BEGIN + timedelta(minutes=30 * half)),
            "minutes": st.integers(20, 90) | st.none(),
            "failed_after": st.integers(0, 19) | st.none(),
            "state": st.sampled_from(("succeeded", "failed", "rolled_back", "stopped")),
            "grade": st.sampled_from("ABD"),
        }
    ),
    max_size=9,
)


@long
@pytest.mark.repeated
@settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=examples(8, soaking=150),
    suppress_health_check=list(HealthCheck),
)
@given(history=histories, zone=st.sampled_from((SEOUL, "America/New_York")))
def test_every_figure_is_what_a_plain_recount_finds(
    shop: Shop, history: list[dict[str, Any]], zone: str
) -> None:
    Rollout.objects.all().delete()
    Release.objects.all().delete()
    for entry in history:
        deploy(shop, **entry)
    here = ZoneInfo(zone)
    with timezone.override(here):
        found = report(shop.cast.outsider, asked(start=date(2026, 2, 23), end=date(2026, 4, 5)))
    for table, key in KEYS.items():
        assert counted(getattr(found, table)) == recount(key, here), table
    total = recount(lambda _rollout, _service, _zone: "all", here)
    assert counted([found.total]) == total


@pytest.mark.parametrize(("zone", "day"), [(SEOUL, 10), ("America/New_York", 9)])
def test_a_day_is_the_reader_s_own(shop: Shop, zone: str, day: int) -> None:
    midnight = datetime(2026, 3, day, tzinfo=ZoneInfo(zone))
    for minutes in (-1, 0, 24 * 60 - 1, 24 * 60):
        deploy(shop, SERVICES[:1], started=midnight + timedelta(minutes=minutes))
    with timezone.override(ZoneInfo(zone)):
        found = report(shop.cast.author, asked(start=midnight.date(), end=midnight.date()))
    assert found.total.deployments == 2
    assert [(row.key, row.deployments) for row in found.hours] == [
        (midnight.weekday() * 24, 1),
        (midnight.weekday() * 24 + 23, 1),
    ]


def test_team_service_and_environment_narrow_every_number(shop: Shop) -> None:
    deploy(shop, ["shopping-service", "auth-service"], started=BEGIN)
    deploy(shop, ["payment-service"], started=BEGIN, state="failed", failed_after=1)
    author = shop.cast.author
    assert report(author, asked(team="identity")).total.deployments == 1
    assert [row.key for row in report(author, asked(team="identity")).services] == ["auth-service"]
    assert report(author, asked(service="payment-service")).total.failed == 1
    assert report(author, asked(environment="elsewhere")).total.deployments == 0


@long
def test_nobody_counts_what_they_may_not_see(shop: Shop) -> None:
    team = Team.objects.create(key="vault", title="Vault")
    private = {"visibility": "private"}
    hidden = make_environment(shop, "vault-production", system="vault", stage="production", spec=private)
    make_service("vault-service", team, hidden)
    rights.grant()
    member = person("member", ("pl", "service:vault-service"))
    for hour in range(4):
        deploy(shop, ["vault-service"], started=clock.now() - timedelta(hours=hour), environment=hidden)
    assert ApiClient(member).get("/rhythm").json()["total"]["deployments"] == 4
    answer = ApiClient(shop.cast.outsider).get("/rhythm?environment=vault-production")
    assert answer.json()["total"]["deployments"] == 0
    assert "vault" not in answer.content.decode()
    client = Client()
    client.force_login(shop.cast.outsider)
    assert "vault" not in client.get("/reports/").content.decode()
    assert "vault" not in client.get("/reports/services.csv").content.decode()
    assert "vault" not in client.get("/reports/bundles.csv").content.decode()


@long
def test_a_failure_is_dated_when_it_happens_and_stays(shop: Shop) -> None:
    release = make_release(shop, at="approved")
    rollout = roll_out(release, shop)
    for state in ("running", "failed", "running", "succeeded"):
        before = rollout.failed_at
        move_rollout(rollout, state, actor=BY_THE_PORTAL)
        rollout.refresh_from_db()
        assert before is None or rollout.failed_at == before
    assert rollout.failed_at is not None


@long
def test_waiting_is_told_for_the_role_the_person_and_what_is_open(shop: Shop) -> None:
    first = make_release(shop, at="in_review")
    _opened_ago(first, hours=5)
    decide(first, shop.cast.pl)
    second = make_release(shop, at="in_review")
    _opened_ago(second, hours=2)
    found = report(shop.cast.outsider, Asked.read({}))
    (role,) = [row for row in found.waiting_roles if row.phase == "review"]
    assert (role.role, role.decided, role.waiting) == ("pl", 1, 1)
    assert role.median_seconds == pytest.approx(5 * 3600, abs=60)
    assert role.waiting_seconds == pytest.approx(2 * 3600, abs=60)
    (someone,) = found.waiting_people
    assert (someone.username, someone.decided) == ("pl", 1)
    assert someone.longest_seconds == pytest.approx(5 * 3600, abs=60)


@long
def test_a_sign_off_waits_from_the_moment_the_rollout_was_verified(shop: Shop) -> None:
    release = make_release(shop, at="awaiting_signoff")
    _opened_ago(release, hours=5)
    (row,) = [row for row in report(shop.cast.pl, Asked.read({})).waiting_roles if row.phase == "signoff"]
    assert (row.decided, row.waiting) == (0, 1)
    assert row.waiting_seconds is not None
    assert row.waiting_seconds < 3600


def _opened_ago(release: Release, *, hours: int) -> None:
    request = release.approval_request
    assert request is not None
    request.opened_at = clock.now() - timedelta(hours=hours)
    request.save(update_fields=["opened_at"])


def test_releases_of_one_team_on_one_day_are_named_as_one_that_could_have_been(shop: Shop) -> None:
    together = [deploy(shop, [name], started=BEGIN) for name in ("shopping-service", "payment-service")]
    deploy(shop, ["auth-service"], started=BEGIN)
    deploy(shop, ["shopping-service"], started=BEGIN + timedelta(days=1))
    (found,) = report(shop.cast.author, asked()).bundles
    assert found.releases == tuple(rollout.release_id for rollout in together)
    assert (found.services, found.team) == (("payment-service", "shopping-service"), "Commerce")


def page(user: User, address: str = "") -> str:
    """The report as a person reads it."""
    client = Client()
    client.force_login(user)
    answer = client.get(f"/reports/{address}", headers={"Accept-Language": "en"})
    assert answer.status_code == 200
    return str(answer.content.decode())


@long
def test_the_page_draws_charts_with_words_and_tables_from_three_deployments_on(shop: Shop) -> None:
    noon = clock.now().astimezone(ZoneInfo(SEOUL)).replace(hour=12) - timedelta(days=1)
    for hours in (1, 2):
        deploy(shop, SERVICES[:2], started=noon - timedelta(hours=hours))
    few = page(shop.cast.outsider)
    assert "Figures appear from 3 deployments on" in few
    assert "<svg role" not in few
    deploy(shop, SERVICES[2:], started=noon, state="failed", failed_after=2)
    full = page(shop.cast.outsider)
    assert full.count('<svg role="img" aria-label="') == 3
    assert "1 of 3" in full
    assert "Could go out together" in full
    assert "1 not restored" in full


@long
def test_numbers_open_the_releases_they_count(shop: Shop) -> None:
    noon = clock.now().astimezone(ZoneInfo(SEOUL)).replace(hour=12) - timedelta(days=1)
    mine, other = (
        deploy(shop, [name], started=noon).release_id for name in ("auth-service", "shopping-service")
    )
    deploy(shop, SERVICES[:1], started=noon - timedelta(days=20))
    whole = page(shop.cast.outsider)
    assert "?from=" in whole
    assert "team=identity#deployments" in whole
    narrow = page(shop.cast.outsider, f"?from={noon:%Y-%m-%d}&to={noon:%Y-%m-%d}&team=identity")
    assert f'href="/releases/{mine}/"' in narrow
    assert f'href="/releases/{other}/"' not in narrow


@long
def test_odd_addresses_are_read_as_nothing_said(shop: Shop) -> None:
    for odd in ("?from=x&to=2026-99-99", "?from=9999-12-31&to=0001-01-01", "?team=%00&service=%27", "?from="):
        assert "Figures appear" in page(shop.cast.outsider, odd)
    answer = ApiClient(shop.cast.pl).get("/rhythm?from=yesterday")
    assert (answer.status_code, answer.json()["missing"][0]["field"]) == (422, "from")


@long
def test_no_cell_of_a_table_is_a_formula(shop: Shop) -> None:
    Team.objects.filter(key="commerce").update(title='=HYPERLINK("http://x","y")')
    shop.cast.author.name = "@SUM(A1)"
    shop.cast.author.save(update_fields=["name"])
    now = clock.now()
    for hour in (0, 1):
        deploy(shop, SERVICES[:2], started=now - timedelta(hours=hour, minutes=1))
    client = Client()
    client.force_login(shop.cast.outsider)
    seen = set()
    for name in (
        "weeks",
        "hours",
        "teams",
        "services",
        "people",
        "bundles",
        "waiting-roles",
        "waiting-people",
    ):
        answer = client.get(f"/reports/{name}.csv")
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        cells = itertools.chain.from_iterable(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        seen |= set(cells)
    assert "'@SUM(A1)" in seen
    assert not [cell for cell in seen if cell.startswith(("=", "+", "-", "@"))]
    assert client.get("/reports/secrets.csv").status_code == 404


def test_the_report_asks_as_often_for_many_as_for_few(shop: Shop) -> None:
    def questions() -> int:
        with CaptureQueriesContext(connection) as found:
            report(shop.cast.author, asked())
        return len(found)

    deploy(shop, SERVICES[:1], started=BEGIN)
    few = questions()
    for day in range(12):
        deploy(shop, SERVICES, started=BEGIN + timedelta(days=day), state="failed", failed_after=1)
    assert questions() == few
