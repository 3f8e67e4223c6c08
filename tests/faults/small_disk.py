"""A disk of the test's own that is soon full: a file system in memory."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

CANNOT_MOUNT = (
    "This system lets the tests mount no file system, which a really full disk needs: "
    "run them as root, or leave them out with -k 'not full_disk'. mount said:"
)
PIECE = 4096


class SmallDisk:
    """A mounted folder, and the file that takes what is left of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room at all."""
        with contextlib.suppress(OSError), self.ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(PIECE * 16))
        with contextlib.suppress(OSError), self.ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(PIECE))

    def make_room(self) -> None:
        """Give it back."""
        self.ballast.unlink()


@contextlib.contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Mount one at the folder until the end of the block."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    said = subprocess.run(mount, capture_output=True, text=True, check=False)
    assert said.returncode == 0, f"{CANNOT_MOUNT} {said.stderr}"
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
