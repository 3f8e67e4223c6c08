"""The catalog as files: load, check and export them."""

from collections import defaultdict
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from portal.errors import Conflict
from releases.catalog.difference import Difference
from releases.catalog.documents import Problem, all_problems, read
from releases.catalog.models import StoredDocument
from releases.catalog.operations import check_documents, load_folder, stored_documents

__all__ = ["Difference", "Problem", "check", "export", "load_folder"]


def check(path: Path) -> list[Problem]:
    """Say what is wrong with the files, by themselves and with what the portal holds; write nothing.

    Raises:
        Invalid: the path cannot be read at all.
    """
    documents, unreadable = read(path)
    return all_problems(unreadable, check_documents(documents, stored_documents()))


def export(*, root: str | None = None) -> dict[str, str]:
    """The files that were loaded: path to text, byte for byte while their documents are unchanged.

    Args:
        root: only what was loaded from the folder of this name; when documents of several folders are
            exported, each gets a folder of its own.
    """
    rows = StoredDocument.objects.filter(**({"root": root} if root else {}))
    files: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        files[row.root, row.file].append(row.text)
    several = len({each for each, _file in files}) > 1
    return {f"{each}/{file}" if several else file: _joined(parts) for (each, file), parts in files.items()}


def _joined(parts: list[str]) -> str:
    """Put documents one after the other; each but the first begins with its own `---`."""
    text = parts[0]
    for part in parts[1:]:
        if not text.endswith("\n"):
            text += "\n"
        text += part if part.lstrip("\ufeff").startswith("---") else f"---\n{part}"
    return text


def write_export(target: Path, *, root: str | None = None) -> list[Path]:
    """Write the exported files under a folder.

    Raises:
        Conflict: one of the files is there already with other content.
    """
    files = {target / name: text for name, text in export(root=root).items()}
    for path, text in files.items():
        if path.exists() and path.read_bytes() != text.encode():
            raise Conflict(_("{path} exists already and differs.").format(path=path))
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return sorted(files)
