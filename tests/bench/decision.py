"""A decision against the same statements written by hand, and fifty people who decide at once."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest import mock

from tests.bench.database import with_database
from tests.bench.row import Row

ROUNDS = 25
TIMES = 3.0
CROWD = 50
Statement = tuple[str, Any]


def run() -> list[Row]:
    """Measure on a database of its own."""
    return with_database(_measure)


def _measure() -> list[Row]:
    from tests.factories import make_shop  # noqa: PLC0415  needs settings

    shop = make_shop()
    return [*_compared(shop), *_crowded(shop)]


def _compared(shop: Any) -> list[Row]:
    """Each round takes two releases alike: one is decided by hand, the other by the portal."""
    from tests.factories import make_release  # noqa: PLC0415  needs settings

    _portal(make_release(shop, at="in_review"), shop)  # what the first one reads once stays read
    portal, after, by_hand, counted = [], [], [], []
    for _round in range(ROUNDS):
        statements = _statements_of(make_release(shop, at="in_review"), shop)
        by_hand.append(_by_hand(statements))
        committed, told = _portal(make_release(shop, at="in_review"), shop)
        portal.append(committed)
        after.append(told)
        counted.append(len(statements))
    ratios = [mine / plain for mine, plain in zip(portal, by_hand, strict=True)]
    return [
        Row.of("a decision by the portal, until it is committed", [1000 * each for each in portal], "ms"),
        Row.of("thereafter: open pages told", [1000 * each for each in after], "ms"),
        Row.of("the same statements by hand", [1000 * each for each in by_hand], "ms"),
        Row.of("statements of a decision", counted, "statements"),
        Row.of("a decision / by hand", ratios, "ratio", target=TIMES),
    ]


def _statements_of(release: Any, shop: Any) -> list[Statement]:
    """What the portal asks of the database, in an attempt that is undone."""
    from django.db import connection, transaction  # noqa: PLC0415  needs settings

    found: list[Statement] = []

    def keep(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        found.append((sql, params))
        return execute(sql, params, many, context)

    with transaction.atomic():
        with connection.execute_wrapper(keep):
            _decide(release, shop.cast.pl)
        transaction.set_rollback(True)
    return found


def _by_hand(statements: Sequence[Statement]) -> float:
    """Send them on a plain connection in one transaction, and take every answer."""
    from django.db import connection  # noqa: PLC0415  needs settings

    plain = connection.connection
    begun = time.perf_counter()
    with plain.transaction(), plain.cursor() as cursor:
        for sql, params in statements:
            cursor.execute(sql, params)
            if cursor.description:
                cursor.fetchall()
    return time.perf_counter() - begun


def _portal(release: Any, shop: Any) -> tuple[float, float]:
    """The seconds until the commit, and those of what waits for it: nobody's lock is held by that."""
    from django.db import connection  # noqa: PLC0415  needs settings

    moments = [time.perf_counter()]
    with mock.patch.object(connection, "run_and_clear_commit_hooks", _noting(moments)):
        _decide(release, shop.cast.pl)
    return moments[1] - moments[0], time.perf_counter() - moments[1]


def _noting(moments: list[float]) -> Callable[[], None]:
    """What runs the hooks of a commit, with the moment of the commit noted before."""
    from django.db import connection  # noqa: PLC0415  needs settings

    run = connection.run_and_clear_commit_hooks

    def note() -> None:
        moments.append(time.perf_counter())
        run()

    return note


def _decide(release: Any, person: Any) -> None:
    from releases.operations import decide_release  # noqa: PLC0415  needs settings
    from tests.people import acting  # noqa: PLC0415

    digest = release.content_digest
    decide_release(release.number, actor=acting(person), verdict="approve", content_digest=digest)


def _crowded(shop: Any) -> list[Row]:
    """Everybody has a row of their own; then everybody wants the same one."""
    rows = []
    for title, wanted, (release, people) in (
        (f"{CROWD} people, a row each", CROWD, _each_their_own(shop)),
        (f"{CROWD} people, one row", 1, _all_for_one(shop)),
    ):
        begun = time.perf_counter()
        answers = _at_once([partial(_decide, release, who) for who in people])
        seconds = time.perf_counter() - begun
        release.refresh_from_db()
        assert release.state == "approved", (title, answers)
        unexplained = CROWD - answers["yes"] - answers["wrong_state"]
        rows += [
            Row.of(f"{title}: until all are answered", [seconds], "s"),
            Row(f"{title}: approvals taken", answers["yes"], "people", target=wanted, higher_is_better=True),
            Row(f"{title}: deadlocks and other surprises", unexplained, "people", target=0),
        ]
    return rows


def _at_once(acts: Sequence[Callable[[], None]]) -> Counter[str]:
    from django.db import connection  # noqa: PLC0415  needs settings

    from portal.errors import PortalError  # noqa: PLC0415

    answers: Counter[str] = Counter()
    ready = threading.Barrier(len(acts))

    def one(act: Callable[[], None]) -> None:
        connection.ensure_connection()
        ready.wait()
        try:
            act()
            answers["yes"] += 1
        except PortalError as error:
            answers[error.code] += 1
        except Exception as error:  # noqa: BLE001  counted and shown
            answers[repr(error)] += 1
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _each_their_own(shop: Any) -> tuple[Any, list[Any]]:
    """Fifty services in one release of grade B, each with a PL."""
    from portal.people.models import Team  # noqa: PLC0415  needs settings
    from releases.catalog import rights  # noqa: PLC0415
    from tests.factories import make_release, make_service  # noqa: PLC0415
    from tests.people import person  # noqa: PLC0415

    names = [f"crowd-{number}" for number in range(CROWD)]
    team = Team.objects.get(key="commerce")
    for name in names:
        make_service(name, team, shop.environment)
    rights.grant()
    people = [person(f"pl-of-{name}", ("pl", f"service:{name}")) for name in names]
    items = [{"service": name, "version": "1.0.0"} for name in names]
    return make_release(shop, at="in_review", items=items), people


def _all_for_one(shop: Any) -> tuple[Any, list[Any]]:
    from tests.factories import make_release  # noqa: PLC0415  needs settings
    from tests.people import person  # noqa: PLC0415

    scope = f"service:{shop.shopping.name}"
    people = [person(f"pl-{number}", ("pl", scope)) for number in range(CROWD)]
    return make_release(shop, at="in_review"), people
