"""Everything on the machine is killed at once in the middle of a rollout, as by the loss of its power."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from tests.bench import portal as people
from tests.embedded.processes import wait_for
from tests.embedded.whole import Portal
from tests.soak import soak

VERSIONS = {"config-service": "v1.4.0", "auth-service": "v1.4.0"}
BEGIN_SECONDS = 120.0


def kill_all(whole: Portal) -> None:
    """`kill -9` of the supervisor and of every part."""
    pids = [
        pid
        for entry in whole.report()["pids"].values()
        for pid in (entry if isinstance(entry, list) else [entry])
    ]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert whole.process is not None
    whole.process.wait(timeout=30)


def acts(events: list[dict[str, Any]]) -> list[str]:
    return [event["data"]["key"] for event in events if event["kind"] == "step.acted"]


@soak
def test_a_portal_that_was_killed_whole_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = Portal(tmp_path / "var")
    try:
        asking = people.Portal(process=None, ready_seconds=0, report=whole.start())  # type: ignore[arg-type]
        number = asking.approved_release(VERSIONS)
        rollout = asking.start(number)
        assert wait_for(lambda: bool(acts(asking.events(rollout))), seconds=BEGIN_SECONDS)
        kill_all(whole)
        asking.report.update(whole.start())
        assert asking.wait(rollout, people.ENDS)["state"] == "succeeded"
        events = asking.events(rollout)
        assert [event["id"] for event in events] == list(range(1, len(events) + 1))
        assert len(acts(events)) == len(set(acts(events))) == len(VERSIONS)
    finally:
        if whole.process is not None and whole.process.poll() is None:
            whole.stop()
