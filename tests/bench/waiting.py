"""A thousand rollouts that wait for their sign-off: what they cost workers, watcher and sweeper."""

import os
import time
from typing import Any

from tests.bench.database import with_database
from tests.bench.lists import copy_rows
from tests.bench.portal import cpu_seconds
from tests.bench.row import Row

WAITING = int(os.environ.get("BENCH_WAITING", "1000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
REST_SECONDS = 20
PERCENT = 5
ROLES = ("worker", "worker", "sweeper", "watcher")


def run() -> list[Row]:
    """Measure on a database of its own, first with one that waits, then with all."""
    return with_database(_measure)


def _measure() -> list[Row]:
    from tests.rollouts.processes import processes  # noqa: PLC0415  needs settings

    rollout = _verified()
    with processes() as roles:
        pids = {f"{role} {number}": roles.start(role).pid for number, role in enumerate(ROLES)}
        alone = _percent(pids)
        _copy(rollout, WAITING - 1)
        waiting = _percent(pids)
    whole, before = sum(waiting.values()), sum(alone.values())
    each = [Row(f"of that {name}", value, "% of core") for name, value in waiting.items()]
    return [
        Row(f"{WAITING} rollouts await their sign-off, more than one", whole - before, "% of core", PERCENT),
        Row("all processes with one", before, "% of core"),
        Row(f"all processes with {WAITING}", whole, "% of core"),
        *each,
    ]


def _percent(pids: dict[str, int]) -> dict[str, float]:
    """How much of a core each process takes at rest."""
    time.sleep(REST_SECONDS)
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    begun = time.monotonic()
    time.sleep(SECONDS)
    seconds = time.monotonic() - begun
    return {name: 100 * (cpu_seconds(pid) - before[name]) / seconds for name, pid in pids.items()}


def _verified() -> Any:
    """A rollout of notices that is done with all before its sign-off, and has a step behind it."""
    from django.db import transaction  # noqa: PLC0415  needs settings

    from releases.rollouts import engine, operations  # noqa: PLC0415
    from releases.rollouts.graph import Node  # noqa: PLC0415
    from tests.factories import make_release, make_shop, roll_out  # noqa: PLC0415

    shop = make_shop()
    release = make_release(shop, at="approved")
    with transaction.atomic():
        rollout = roll_out(release, shop)
    first = Node(key="first", kind="notice", position=0, params={"section": "after"})
    switch = Node(key="switch", kind="notice", position=1, wave=1, params={"section": "switch"})
    operations.write_steps(rollout, [first, switch])
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    assert rollout.state == "awaiting_signoff", rollout.state
    return rollout


def _copy(rollout: Any, count: int) -> None:
    """Copy the rollout with its release and its request; each is due within the next quarter of an hour."""
    from django.db import connection  # noqa: PLC0415  needs settings

    asked, release = rollout.release.approval_request_id, rollout.release_id
    numbers, number = f"generate_series(1, {count}) n", "100000 + n"
    subject = f"'release:' || ({number})"
    with connection.cursor() as cursor:
        copy_rows(cursor, "approvals_request", f"id = {asked}", numbers, id=number, subject=subject)
        for table in ("approvals_requirement", "approvals_request_barred"):
            copy_rows(cursor, table, f"request_id = {asked}", numbers, request_id=number, id=None)
        where = f"number = {release}"
        copy_rows(cursor, "releases_release", where, numbers, number=number, approval_request_id=number)
        due = "now() + random() * interval '900 seconds'"
        new = {"id": number, "release_id": number, "wake_at": due}
        copy_rows(cursor, "rollouts_rollout", f"id = {rollout.pk}", numbers, **new)
        steps = {"rollout_id": number, "id": None}
        copy_rows(cursor, "rollouts_step", f"rollout_id = {rollout.pk}", numbers, **steps)
        cursor.execute("ANALYZE")
