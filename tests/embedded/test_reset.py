"""`make reset` forgets what the embedded parts kept, and touches nothing else."""

import subprocess
import sys
from pathlib import Path

from portal.embedded import runlock


def reset(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portal.embedded.reset"],
        env={"PORTAL_DATA": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_only_what_the_parts_kept_is_removed(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    for name in ("demo.json", "audit_key", "checkpoints.jsonl"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "thesis.txt").write_text("years of work")
    assert reset(tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("{}")
    with runlock.take(tmp_path / "lock"):
        result = reset(tmp_path)
    assert result.returncode == 1
    assert "already runs on" in result.stdout
    assert (tmp_path / "demo.json").exists()
