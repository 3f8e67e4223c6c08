"""The list pages with 100 and with 10,000 releases and a million events: queries and time, asked in turn."""

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from tests.bench.database import with_database
from tests.bench.row import Row

PAGES = {
    "releases": "/releases/",
    "record": "/audit/",
    "inbox": "/",
    "board": "/board/",
    "api releases": "/api/v1/releases",
    "api record": "/api/v1/audit",
}
READERS = {"record": "gamsa", "api record": "gamsa"}
SMALL, LARGE = 100, 10_000
EVENTS_OF_A_RELEASE = 100
ROUNDS = 9
TARGET = 1.3


def run() -> list[Row]:
    """Measure on a database of its own, of which a copy grows."""
    return with_database(_measure)


def _measure() -> list[Row]:
    from django.core.management import call_command  # noqa: PLC0415  needs settings
    from django.db import connection  # noqa: PLC0415

    call_command("demo", verbosity=0)
    first = _first_release()
    _fill(first, 1, SMALL)
    names = {SMALL: connection.settings_dict["NAME"], LARGE: "bench_large"}
    _copy_database(names)
    _use(names[LARGE])
    _fill(first, SMALL + 1, LARGE)
    rows = []
    for page, address in PAGES.items():
        queries, times = _compare(names, address, READERS.get(page, "jiho"))
        ratios = [large / small for small, large in zip(times[SMALL], times[LARGE], strict=True)]
        rows += [
            Row.of(f"{page}: {SMALL} releases", [1000 * each for each in times[SMALL]], "ms"),
            Row.of(f"{page}: {LARGE} releases", [1000 * each for each in times[LARGE]], "ms"),
            Row(
                f"{page}: ratio of the medians",
                median(times[LARGE]) / median(times[SMALL]),
                "ratio",
                target=TARGET,
                runs=[round(each, 3) for each in ratios],
            ),
            Row(
                f"{page}: queries more than with {SMALL}",
                queries[LARGE] - queries[SMALL],
                "queries",
                target=0,
                runs=[queries[SMALL], queries[LARGE]],
            ),
        ]
    return rows


def _compare(
    names: Mapping[int, str], address: str, who: str
) -> tuple[dict[int, int], dict[int, list[float]]]:
    """Ask both databases in turn; each change of database is followed by an unmeasured request."""
    queries: dict[int, int] = {}
    times: dict[int, list[float]] = {SMALL: [], LARGE: []}
    for _round in range(ROUNDS):
        for size, name in names.items():
            _use(name)
            client = _client(who)
            _ask(client, address)
            queries[size] = _queries(client, address)
            times[size].append(min(_ask(client, address) for _each in range(3)))
    return queries, times


def _client(who: str) -> Any:
    from django.test import Client  # noqa: PLC0415

    from portal.people.models import User  # noqa: PLC0415

    client = Client()
    client.force_login(User.objects.get(username=who))
    return client


def _ask(client: Any, address: str) -> float:
    begun = time.perf_counter()
    answer = client.get(address)
    seconds = time.perf_counter() - begun
    assert answer.status_code == 200, (address, answer.status_code)
    return seconds


def _queries(client: Any, address: str) -> int:
    from django.db import connection  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    with CaptureQueriesContext(connection) as captured:
        client.get(address)
    return len(captured)


def _first_release() -> int:
    """One closed release with two items, a change and a rollout, which the others are copies of."""
    from portal import clock  # noqa: PLC0415
    from portal.people.models import User  # noqa: PLC0415
    from releases.catalog.models import Environment, Service  # noqa: PLC0415
    from releases.models import Change, Item, Release  # noqa: PLC0415
    from releases.rollouts.models import Rollout  # noqa: PLC0415

    now, author = clock.now(), User.objects.get(username="jiho")
    environment = Environment.objects.get(name="portal-universe-production")
    release = Release.objects.create(
        title="Release",
        environment=environment,
        state="closed",
        author=author,
        grade="B",
        created_at=now,
        changed_at=now,
        submitted_at=now,
        approved_at=now,
        ended_at=now,
    )
    for name in ("shopping-service", "blog-service"):
        service = Service.objects.get(name=name)
        Item.objects.create(release=release, service=service, version="v1.4.0", image="i", digest="sha256:0")
    Change.objects.create(release=release, area="API", text="A change")
    Rollout.objects.create(
        release=release, environment=environment, state="succeeded", started_by=author, queued_at=now
    )
    return release.pk


def _fill(first: int, begin: int, end: int) -> None:
    """Copy the first release with all that belongs to it, and add its events and entries of the record."""
    from django.db import connection  # noqa: PLC0415

    numbers = f"generate_series({begin}, {end}) n"
    with connection.cursor() as cursor:
        # The numbers of copies begin after a gap, so that they tell which release a row belongs to.
        copy_rows(
            cursor,
            "releases_release",
            f"number = {first}",
            numbers,
            number="1000 + n",
            created_at="created_at + n * interval '1 minute'",
            state="CASE WHEN n % 100 = 0 THEN 'draft' ELSE 'closed' END",
        )
        for table in ("releases_item", "releases_change", "rollouts_rollout"):
            copy_rows(cursor, table, f"release_id = {first}", numbers, release_id="1000 + n", id=None)
        cursor.execute(
            f"INSERT INTO live_topic (name, last) SELECT 'release.' || 1000 + n, "
            f"{EVENTS_OF_A_RELEASE} FROM {numbers}"
        )
        cursor.execute(
            f"""
            INSERT INTO live_event (topic_id, number, at, kind, data)
            SELECT 'release.' || 1000 + n, k, now(), 'release.changed', '{{}}'
            FROM {numbers}, generate_series(1, {EVENTS_OF_A_RELEASE}) k
            """
        )
        cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER USER")
        cursor.execute(
            f"""
            INSERT INTO audit_auditentry
                (number, at, actor, action, subject_kind, subject, release, service, body, previous, digest)
            SELECT (SELECT max(number) FROM audit_auditentry) + row_number() OVER (), now(), 'jiho',
                'release.created', 'release', (1000 + n)::text, 1000 + n, '',
                (SELECT body FROM audit_auditentry ORDER BY id LIMIT 1), md5(n::text), md5(n || '.' || k)
            FROM {numbers}, generate_series(1, {EVENTS_OF_A_RELEASE}) k
            """
        )
        cursor.execute("ALTER TABLE audit_auditentry ENABLE TRIGGER USER")
        cursor.execute("ANALYZE")


def copy_rows(cursor: Any, table: str, where: str, numbers: str, **changed: str | None) -> None:
    """Copy the rows of a table once for each number; a column changed to None is left to its default."""
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY 1", [table]
    )
    columns = [name for (name,) in cursor.fetchall() if changed.get(name, "") is not None]
    named = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(str(changed.get(name) or f'{table}."{name}"') for name in columns)
    cursor.execute(f"INSERT INTO {table} ({named}) SELECT {values} FROM {table}, {numbers} WHERE {where}")


def _copy_database(names: Mapping[int, str]) -> None:
    from django.db import connection  # noqa: PLC0415

    _use("postgres")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {names[LARGE]} TEMPLATE {names[SMALL]}")


def _use(name: str) -> None:
    from django.db import connection  # noqa: PLC0415

    if connection.settings_dict["NAME"] != name or connection.connection is None:
        connection.close()
        connection.settings_dict["NAME"] = name
