"""`make run` as people start it: every part, with demo people, and what it promises about them."""

import json
import os
import signal
import stat
import urllib.request
from pathlib import Path

import psycopg
import pytest

from portal.embedded.child import is_alive
from portal.embedded.ports import free_port
from portal.embedded.postgres import Postgres
from tests.embedded.processes import running, wait_for
from tests.embedded.whole import Portal, Report
from tests.soak import long

pytestmark = pytest.mark.xdist_group("whole")


def numbers(report: Report) -> list[int]:
    """Return every process number in the report."""
    return [
        pid for entry in report["pids"].values() for pid in (entry if isinstance(entry, list) else [entry])
    ]


def memory_bytes(pids: list[int]) -> int:
    """Return the memory of the processes and their children, shared pages counted once (Linux)."""
    return sum(_own_bytes(pid) + memory_bytes(_children(pid)) for pid in pids)


def _own_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(number) for file in lists for number in file.read_text().split()]


def answer(address: str, token: str | None = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as got:
        return got.status, got.read()


@long
def test_everything_starts_heals_stops_and_goes_on_where_it_ended(whole_portal: Portal) -> None:
    portal = whole_portal
    first = portal.report()
    every_part_lives_in_the_memory_of_a_small_machine(first)
    the_report_is_private_and_its_links_and_tokens_work(first, portal.data / "demo.json")

    os.kill(first["pids"]["worker"][0], signal.SIGKILL)
    assert wait_for(lambda: len(set(portal.report()["pids"]["worker"]) - set(first["pids"]["worker"])) == 1)

    no_running_role_could_rewrite_the_record(portal.report())
    with psycopg.connect(first["database_owner_url"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    living = numbers(portal.report())
    assert portal.stop() == 0
    assert not any(is_alive(pid) for pid in living)

    the_folder_is_as_a_version_with_one_role_left_it(portal.data / "postgres")
    second = portal.start()
    no_running_role_could_rewrite_the_record(second)
    for same in ("url", "kubeconfig", "database_url", "database_owner_url", "redis_url"):
        assert second[same] == first[same]
    assert [entry["token"] for entry in second["people"]] == [entry["token"] for entry in first["people"]]
    the_report_is_private_and_its_links_and_tokens_work(first, portal.data / "demo.json")
    with psycopg.connect(second["database_owner_url"]) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def every_part_lives_in_the_memory_of_a_small_machine(report: Report) -> None:
    counts = {kind: len(report["pids"][kind]) for kind in ("web", "worker", "watcher", "sweeper")}
    assert counts == {"web": 1, "worker": 2, "watcher": 1, "sweeper": 1}
    assert all(is_alive(pid) for pid in numbers(report))
    assert memory_bytes([report["pids"]["supervisor"]]) < 1024**3
    assert answer(f"{report['url']}/readyz")[0] == 200


def no_running_role_could_rewrite_the_record(report: Report) -> None:
    for role in ("web", "worker", "watcher", "sweeper"):
        for pid in report["pids"][role]:
            held = dict(line.partition("=")[::2] for line in environment_of(pid))
            assert (held["DATABASE_URL"], held["DATABASE_OWNER_URL"]) == (report["database_url"], "")
    with psycopg.connect(report["database_url"], autocommit=True) as connection:
        assert connection.execute("SELECT number FROM audit_auditentry WHERE number = 1").fetchone() == (1,)
        for statement in (
            "UPDATE audit_auditentry SET body = ''",
            "DELETE FROM audit_checkpoint",
            "TRUNCATE audit_auditentry",
            "ALTER TABLE audit_auditentry DISABLE TRIGGER USER",
        ):
            with pytest.raises(
                psycopg.errors.InsufficientPrivilege, match=r"permission denied|must be owner"
            ):
                connection.execute(statement)


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


def the_folder_is_as_a_version_with_one_role_left_it(folder: Path) -> None:
    server = Postgres(folder, free_port())
    password = (folder / "postgres.password").read_text()
    with running(server):
        for database, statement in (
            ("portal", "DROP OWNED BY portal_app"),
            ("postgres", "DROP ROLE portal_app"),
        ):
            place = f"postgresql://postgres:{password}@127.0.0.1:{server.port}/{database}"
            with psycopg.connect(place) as connection:
                connection.execute(statement)


def the_report_is_private_and_its_links_and_tokens_work(report: Report, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "apiVersion" in Path(report["kubeconfig"]).read_text()
    person = next(person for person in report["people"] if person["token"])
    assert answer(person["login_url"])[0] == 200
    me = json.loads(answer(f"{report['url']}/api/v1/me", person["token"])[1])
    assert me["username"] == person["username"]
