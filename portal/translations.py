"""Compiles and checks the translations without the gettext programs.

`python -m portal.translations compile|check`. Only the search for texts in the code needs xgettext; it is
left out where that is missing, but not in CI.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polib

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = ("portal", "approvals", "releases", "templates", "locale")
LANGUAGE = "ko"
CATALOG = Path("locale") / LANGUAGE / "LC_MESSAGES" / "django.po"
PLACEHOLDER = re.compile(r"%\((\w+)\)[a-z]|\{(\w*)\}|%[sd]")
# Which of two particles is right depends on the last sound of the name before it, which only a person hears.
PARTICLE_AFTER_A_NAME = re.compile(
    rf"(?:{PLACEHOLDER.pattern})[\"'”’`]?(?:을|를|이|가|은|는|와|과|으?로|이?라는)(?![가-힣])"
    r"|[을를이가은는와과]\([을를이가은는와과]\)|\(으\)로"
)


def compile_catalogs() -> None:
    """Write the compiled form of every catalog that is newer than it."""
    for source in REPOSITORY.glob("locale/*/LC_MESSAGES/*.po"):
        target = source.with_suffix(".mo")
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            polib.pofile(str(source)).save_as_mofile(str(target))


def problems_in(file: Path) -> Iterator[str]:
    """Name every text that is not translated, only guessed, loses a placeholder, or declines a name."""
    for entry in polib.pofile(str(file)):
        if entry.obsolete:
            continue
        if entry.fuzzy:
            yield f"guessed, not checked: {entry.msgid!r}"
        elif not entry.translated():
            yield f"not translated: {entry.msgid!r}"
        else:
            yield from _lost_placeholders(entry)
            yield from _particles_after_names(entry)


def _lost_placeholders(entry: polib.POEntry) -> Iterator[str]:
    wanted = _placeholders(entry.msgid_plural or entry.msgid)
    for text in _texts(entry):
        if _placeholders(text) != wanted:
            yield f"other placeholders: {entry.msgid!r} as {text!r}"


def _particles_after_names(entry: polib.POEntry) -> Iterator[str]:
    for text in _texts(entry):
        if PARTICLE_AFTER_A_NAME.search(text):
            yield f"a particle after a name: {text!r}"


def _texts(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def _placeholders(text: str) -> list[str]:
    return sorted(found.group(0) for found in PLACEHOLDER.finditer(text))


def texts_in_code(folder: Path) -> Path:
    """Copy the sources into the folder, collect their texts into the catalog there, and return it.

    Raises:
        subprocess.CalledProcessError: xgettext could not read a source; its words are printed.
    """
    for name in SOURCES:
        if (REPOSITORY / name).exists():
            shutil.copytree(
                REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("*.mo", "__pycache__")
            )
    command = [sys.executable, "-m", "django", "makemessages", "-l", LANGUAGE, "--no-location", "-v", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(command, cwd=folder, env=environment, check=True)  # noqa: S603  Django's own command
    return folder / CATALOG


def check() -> int:
    """Print what is wrong with the Korean catalog; return the exit code."""
    if shutil.which("xgettext"):
        with tempfile.TemporaryDirectory() as folder:
            problems = list(problems_in(texts_in_code(Path(folder))))
    elif os.environ.get("CI"):
        problems = ["xgettext is missing: CI must look for new texts in the code"]
    else:
        print("xgettext is missing: texts that are new in the code are not looked for")  # noqa: T201
        problems = list(problems_in(REPOSITORY / CATALOG))
    for problem in problems:
        print(problem)  # noqa: T201  this module is a command
    return 1 if problems else 0


def main() -> int:
    """Do what the command line asks for."""
    if sys.argv[1:] == ["compile"]:
        compile_catalogs()
        return 0
    if sys.argv[1:] == ["check"]:
        return check()
    print("python -m portal.translations compile|check")  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
