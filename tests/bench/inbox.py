"""The inbox of somebody for whom 500 of 10,000 releases wait, against an empty one on the same database."""

from collections.abc import Mapping
from statistics import median
from time import perf_counter, process_time
from typing import Any

from tests.bench.database import with_database
from tests.bench.lists import copy_rows
from tests.bench.row import Row

WAITING = {"many": 500, "few": 5, "none": 0}
ALL = 10_000
ROUNDS = 9
TIMES = 1.5
PAGE = "/"


def run() -> list[Row]:
    """Measure on a database of its own."""
    return with_database(_measure)


def _measure() -> list[Row]:
    clients = _people()
    queries = {name: _queries(client) for name, client in clients.items()}
    clock: dict[str, list[float]] = {name: [] for name in clients}
    processor: dict[str, list[float]] = {name: [] for name in clients}
    for _round in range(ROUNDS):
        for name, client in clients.items():
            seconds = [_ask(client) for _each in range(3)]
            clock[name].append(min(each[0] for each in seconds))
            processor[name].append(min(each[1] for each in seconds))
    more = {name: f"{count} waiting of {ALL}" for name, count in WAITING.items()}
    return [
        *(
            Row.of(f"{more[name]}: first byte", [1000 * each for each in clock[name]], "ms")
            for name in clients
        ),
        _ratio("first byte: 500 waiting / none", clock),
        _ratio("processor: 500 waiting / none", processor),
        Row("queries: 500 waiting more than 5", queries["many"] - queries["few"], "queries", target=0),
    ]


def _ratio(what: str, times: Mapping[str, list[float]]) -> Row:
    ratios = [many / none for many, none in zip(times["many"], times["none"], strict=True)]
    value = median(times["many"]) / median(times["none"])
    return Row(what, value, "ratio", target=TIMES, runs=[round(each, 3) for each in ratios])


def _people() -> dict[str, Any]:
    """A PL each of three services; what waits are copies of one release of the service."""
    from django.test import Client  # noqa: PLC0415  needs settings

    from portal.people.models import Team  # noqa: PLC0415
    from releases.catalog import rights  # noqa: PLC0415
    from tests.factories import make_release, make_service, make_shop  # noqa: PLC0415
    from tests.people import person  # noqa: PLC0415

    shop = make_shop()
    team = Team.objects.get(key="commerce")
    for name in WAITING:
        make_service(f"service-{name}", team, shop.environment)
    rights.grant()
    clients, begin = {}, 1
    for name, count in WAITING.items():
        user = person(f"with-{name}", ("pl", f"service:service-{name}"))
        if count:
            items = [{"service": f"service-{name}", "version": "2.8.0"}]
            _copy_releases(make_release(shop, at="in_review", items=items), begin, count)
            begin += count
        clients[name] = Client()
        clients[name].force_login(user)
    _copy_releases(_closed(), begin, ALL - begin)
    return clients


def _closed() -> Any:
    from releases.models import Release  # noqa: PLC0415  needs settings

    release = Release.objects.earliest("number")
    Release.objects.filter(pk=release.pk).update(state="withdrawn", approval_request=None)
    release.refresh_from_db()
    return release


def _copy_releases(release: Any, begin: int, count: int) -> None:
    """Copy a release with its request, rows and items; the numbers of copies begin after a gap."""
    from django.db import connection  # noqa: PLC0415  needs settings

    numbers = f"generate_series({begin}, {begin + count - 1}) n"
    asked = release.approval_request_id
    number = "100000 + n"
    with connection.cursor() as cursor:
        if asked:
            subject = f"'release:' || ({number})"
            copy_rows(cursor, "approvals_request", f"id = {asked}", numbers, id=number, subject=subject)
            for table in ("approvals_requirement", "approvals_request_barred"):
                copy_rows(cursor, table, f"request_id = {asked}", numbers, request_id=number, id=None)
        request = number if asked else "NULL"
        where = f"number = {release.pk}"
        copy_rows(cursor, "releases_release", where, numbers, number=number, approval_request_id=request)
        for table in ("releases_item", "releases_change"):
            copy_rows(cursor, table, f"release_id = {release.pk}", numbers, release_id=number, id=None)
        cursor.execute("ANALYZE")


def _ask(client: Any) -> tuple[float, float]:
    begun, busy = perf_counter(), process_time()
    answer = client.get(PAGE)
    seconds = perf_counter() - begun, process_time() - busy
    assert answer.status_code == 200, answer.status_code
    return seconds


def _queries(client: Any) -> int:
    from django.db import connection  # noqa: PLC0415  needs settings
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    client.get(PAGE)
    with CaptureQueriesContext(connection) as captured:
        client.get(PAGE)
    return len(captured)
