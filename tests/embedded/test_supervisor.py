"""The supervisor with stand-in parts: start, restart, stop, and its own sudden death."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.embedded.child import is_alive
from tests.embedded.processes import wait_for
from tests.soak import long

NAMES = ("early", "late", "stubborn")


def begin(folder: Path) -> subprocess.Popen[str]:
    (folder / "ready").unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.embedded.standin", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert wait_for(lambda: (folder / "ready").exists() or process.poll() is not None)
    return process


def pids(folder: Path) -> dict[str, tuple[int, int]]:
    """Return each part's own number and that of the child it started."""
    noted = {name: (folder / f"{name}.pids").read_text().split() for name in NAMES}
    return {name: (int(own), int(inner)) for name, (own, inner) in noted.items()}


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = begin(tmp_path)
    yield process
    if process.poll() is None:
        process.terminate()
    process.communicate()


@long
def test_every_line_of_a_part_is_led_by_its_name(supervisor: subprocess.Popen[str]) -> None:
    supervisor.terminate()
    printed, _ = supervisor.communicate(timeout=15)
    assert "early      | hello from early\n" in printed
    assert "late       | hello from late\n" in printed


@long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_parts_last_batch_first(
    supervisor: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    living = pids(tmp_path)
    supervisor.send_signal(number)
    printed, _ = supervisor.communicate(timeout=15)
    assert supervisor.returncode == 0
    assert (tmp_path / "ended").read_text().split() == ["late", "early"]
    assert "stubborn did not end by itself" in printed
    assert not any(is_alive(pid) for pair in living.values() for pid in pair)


@long
def test_a_part_that_dies_is_started_again_and_the_change_is_told(
    supervisor: subprocess.Popen[str], tmp_path: Path
) -> None:
    before = pids(tmp_path)
    os.kill(before["late"][0], signal.SIGKILL)
    assert wait_for((tmp_path / "changed").exists)
    after = pids(tmp_path)
    assert after["late"][0] != before["late"][0]
    assert is_alive(after["late"][0])
    assert after["early"] == before["early"]
    assert wait_for(lambda: not is_alive(before["late"][1])), "the dead part's own child stayed behind"


def test_kill_9_of_the_supervisor_leaves_no_process_behind(
    supervisor: subprocess.Popen[str], tmp_path: Path
) -> None:
    living = [pid for pair in pids(tmp_path).values() for pid in pair]
    assert all(is_alive(pid) for pid in living)
    supervisor.kill()
    assert wait_for(lambda: not any(is_alive(pid) for pid in living))


@long
def test_a_second_supervisor_on_the_same_folder_is_refused_and_told_why(
    supervisor: subprocess.Popen[str], tmp_path: Path
) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "tests.embedded.standin", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 2
    assert f"process {supervisor.pid} already runs on {tmp_path}" in second.stdout
    assert supervisor.poll() is None


@long
def test_a_start_right_after_kill_9_waits_for_the_old_parts_and_goes_on(
    supervisor: subprocess.Popen[str], tmp_path: Path
) -> None:
    old = [own for own, _ in pids(tmp_path).values()]
    supervisor.kill()  # and not collected: what remains of it must not count as running
    second = begin(tmp_path)
    try:
        assert second.poll() is None
        assert not any(is_alive(pid) for pid in old)
    finally:
        second.terminate()
        second.communicate(timeout=15)
