"""The control plane from the shell: it comes up, it ends, and it leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.api import Api, from_kubeconfig
from tests.cluster.controlplane.build import BINARIES, ensure
from tests.cluster.objects import deployment, namespace, wait_for


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A control plane that was started by the command, and its kubeconfig."""
    path = tmp_path / "kubeconfig"
    command = [sys.executable, "-m", "tests.cluster.controlplane.start", "--kubeconfig", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: path.exists() and path.read_text(), what="the kubeconfig", seconds=60)
            yield process, path
        finally:
            process.kill()


def test_it_runs_pods_the_slow_way(started: tuple[subprocess.Popen[bytes], Path]) -> None:
    with namespace(_admin(started[1])) as space:
        space.create(deployment("web"))
        assert space.wait_until_done("web")["status"]["readyReplicas"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_it(
    started: tuple[subprocess.Popen[bytes], Path], number: signal.Signals
) -> None:
    process, path = started
    children = _children(process.pid)
    assert len(children) == len(BINARIES)
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    assert not path.exists()
    assert [pid for pid in children if _runs(pid)] == []


def test_nothing_outlives_a_killed_parent(started: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, _ = started
    children = _children(process.pid)
    assert len(children) == len(BINARIES)
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(_runs, children)), what="the servers to end")


def test_a_folder_with_all_binaries_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    built = ensure()
    for name in BINARIES:
        (tmp_path / name).symlink_to(built.binary(name))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert ensure().bin_folder == tmp_path


def test_a_folder_that_lacks_a_binary_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    built = ensure()
    (tmp_path / "etcd").symlink_to(built.binary("etcd"))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert ensure().bin_folder == built.bin_folder


def _admin(path: Path) -> Api:
    found = from_kubeconfig(path)
    assert found is not None
    return found


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def _runs(pid: int) -> bool:
    """Tell whether the process lives; one that nobody has waited for yet does not."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False
