"""Charts as they lie in the one folder that an administrator allowed: read whole, never followed outside.

Nothing of a chart is unpacked or fetched, and no link is followed: what was read is what is rendered.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError
from portal.sentences import sentence

REFUSED = "chart_refused"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:/[A-Za-z0-9][A-Za-z0-9_-]*){0,5}")
MOST_FILES = 500
MOST_BYTES = 4_000_000
MOST_LEVELS = 12
PACKED = (".tgz", ".tar", ".gz", ".zip")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart's files by their paths, and a digest over all of them."""

    name: str
    files: Mapping[str, bytes]
    digest: str

    def below(self, folder: str) -> dict[str, bytes]:
        """Return the files as they lie below a folder."""
        return {f"{folder}/{path}": content for path, content in self.files.items()}


def read_chart(root: str, name: str) -> Chart:
    """Read a chart of the allowed folder.

    Args:
        root: the folder that an administrator allowed.
        name: the chart's folder below it, such as "plate/charts/api".

    Raises:
        PermanentError: with code "chart_refused" and what is wrong with it.
    """
    if not root:
        raise _refused(
            _("No folder of charts is allowed: an administrator names it in HELM_CHARTS."), name=name
        )
    if not NAME.fullmatch(name):
        raise _refused(_("“{name}” is no folder below the allowed one."), name=name)
    place = Path(root).resolve()
    for part in name.split("/"):
        place /= part
        if not stat.S_ISDIR(_mode(place, name)):
            raise _refused(_("The chart {name} is no folder, or a link to one."), name=name)
    files = dict(_files(place, "", name, level=0))
    if "Chart.yaml" not in files:
        raise _refused(_("The chart {name} has no Chart.yaml."), name=name)
    return Chart(name=name, files=files, digest=_digest(files))


def _files(folder: Path, inside: str, name: str, *, level: int) -> Iterator[tuple[str, bytes]]:
    if level > MOST_LEVELS:
        raise _refused(_("The chart {name} is nested too deeply."), name=name)
    count = total = 0
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = f"{inside}{entry.name}"
        if entry.is_symlink() or not (entry.is_dir() or entry.is_file(follow_symlinks=False)):
            raise _refused(_("{path} in the chart {name} is a link or no file."), name=name, path=path)
        if entry.name.endswith(PACKED):
            raise _refused(_("{path} in the chart {name} is packed; unpack it."), name=name, path=path)
        found = (
            _files(Path(entry.path), f"{path}/", name, level=level + 1)
            if entry.is_dir()
            else iter([(path, _content(Path(entry.path), name))])
        )
        for each in found:
            count, total = count + 1, total + len(each[1])
            if count > MOST_FILES or total > MOST_BYTES:
                raise _refused(_("The chart {name} is too large."), name=name)
            yield each


def _content(path: Path, name: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(name, error) from error


def _mode(path: Path, name: str) -> int:
    try:
        return path.lstat().st_mode
    except OSError as error:
        raise _unreadable(name, error) from error


def _digest(files: Mapping[str, bytes]) -> str:
    """Over names and contents, each with its length, so that no two charts read the same."""
    hashed = hashlib.sha256()
    for path, content in sorted(files.items()):
        hashed.update(f"{len(path.encode())}:{path}:{len(content)}:".encode())
        hashed.update(content)
    return f"sha256:{hashed.hexdigest()}"


def _unreadable(name: str, error: OSError) -> PermanentError:
    return _refused(_("The chart {name} cannot be read: {reason}."), name=name, reason=error.strerror)


def _refused(text: str | Promise, **values: object) -> PermanentError:
    return PermanentError(sentence(text, **values), code=REFUSED)
