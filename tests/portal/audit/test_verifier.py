"""The verifier of an export runs alone, and names each kind of tampering."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import rfc8785
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from portal.audit import export, operations, verifier
from portal.audit.keys import signer
from tests.portal.audit.signing import new_key, write
from tests.soak import long

Line = dict[str, Any]
Tamper = Callable[[list[Line]], object]
PLAIN = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FEW = hypothesis.settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)


def ran(path: Path, *options: object) -> tuple[int, str]:
    """What the verifier that came with an export says, in a process that knows nothing of the portal."""
    script = path.parent / "verify.py" if path.is_file() else path / "verify.py"
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(path), *map(str, options)],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True)
class Exported:
    """An unpacked bundle of twelve entries: seven and the key signed, four more signed, one not yet."""

    folder: Path
    zipped: Path
    public: str

    def lines(self, name: str = "entries.jsonl") -> list[Line]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def write(self, lines: list[Line], name: str = "entries.jsonl") -> None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (self.folder / name).write_text(text)

    def tampered(self, tamper: Tamper, name: str = "entries.jsonl") -> tuple[int, str]:
        lines = self.lines(name)
        tamper(lines)
        if name == "checkpoints.jsonl":
            lines = [dict(sorted(line.items())) for line in lines]
        self.write(lines, name)
        return ran(self.folder)


_made: list[tuple[bytes, str]] = []


@pytest.fixture
def exported(transactional_db: None, settings: Any, tmp_path: Path) -> Exported:
    """Written and exported once; each test tampers with a copy."""
    if not _made:
        settings.AUDIT_KEY = new_key()
        _made.append(_export())
    content, public = _made[0]
    zipped = tmp_path / "record.zip"
    zipped.write_bytes(content)
    with zipfile.ZipFile(zipped) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "record")
    (tmp_path / "verify.py").write_bytes((tmp_path / "record" / "verify.py").read_bytes())
    return Exported(tmp_path / "record", zipped, public)


def _export() -> tuple[bytes, str]:
    write(*range(1, 8))
    operations.sign_head()
    write(*range(8, 12))
    operations.sign_head()
    write(12)
    key = signer()
    assert key is not None
    return b"".join(export.bundle()), key.public


def seal(line: Line) -> None:
    text = verifier.canonical(line["entry"])
    line["digest"] = verifier.digest_of(text, number=line["number"], previous=line["previous"])


def change(lines: list[Line]) -> None:
    lines[3]["entry"]["subject"]["key"] = "p9"


def change_and_seal(lines: list[Line]) -> None:
    change(lines)
    seal(lines[3])


def remove_and_renumber(lines: list[Line]) -> None:
    del lines[3]
    for number, line in enumerate(lines, 1):
        line["number"] = number


def exchange(lines: list[Line]) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def exchange_numbers(lines: list[Line]) -> None:
    exchange(lines)
    lines[3]["number"], lines[4]["number"] = 4, 5


def insert(lines: list[Line]) -> None:
    forged = {**lines[3], "number": 5, "previous": lines[3]["digest"]}
    seal(forged)
    for line in lines[4:]:
        line["number"] += 1
    lines.insert(4, forged)


def double(lines: list[Line]) -> None:
    lines.insert(4, dict(lines[3]))


def cut_off(lines: list[Line]) -> None:
    del lines[9:]


def rewrite(lines: list[Line]) -> None:
    change(lines)
    for at in range(3, len(lines)):
        lines[at]["previous"] = lines[at - 1]["digest"]
        seal(lines[at])


TAMPERING: list[tuple[Tamper, int, str]] = [
    (change, 4, "changed"),
    (change_and_seal, 4, "changed"),
    (lambda lines: lines.pop(3), 4, "removed"),
    (lambda lines: lines.pop(0), 1, "removed"),
    (remove_and_renumber, 4, "removed"),
    (exchange, 4, "reordered"),
    (exchange_numbers, 4, "reordered"),
    (insert, 5, "inserted"),
    (double, 4, "inserted"),
    (cut_off, 10, "cut off"),
    (rewrite, 1, "forked"),
]


@long
def test_a_good_export_is_whole_as_zip_and_as_folder(exported: Exported) -> None:
    for path in (exported.zipped, exported.folder):
        code, said = ran(path)
        assert (code, said.splitlines()[-1]) == (0, "whole")
        assert "13 entries hold" in said
        assert "2 checkpoints hold, signed up to entry 12" in said


@pytest.mark.parametrize(("tamper", "number", "kind"), TAMPERING)
def test_each_kind_of_tampering_is_named(exported: Exported, tamper: Tamper, number: int, kind: str) -> None:
    code, said = exported.tampered(tamper)
    assert (code, said.splitlines()[0]) == (1, f"BROKEN at entry {number}: {kind}")


@long
def test_a_changed_checkpoint_and_a_foreign_key_are_bad_signatures(exported: Exported) -> None:
    code, said = ran(exported.folder, "--key", "ab" * 32)
    assert (code, said.splitlines()[0]) == (1, "BROKEN at entry 8: bad signature")
    assert ran(exported.folder, "--key", exported.public)[0] == 0
    code, said = exported.tampered(lambda lines: lines[1].update(at=lines[0]["at"]), "checkpoints.jsonl")
    assert (code, said.splitlines()[0]) == (1, "BROKEN at entry 12: bad signature")


@long
def test_a_whole_forgery_is_found_by_a_mail_that_was_kept(exported: Exported, tmp_path: Path) -> None:
    mail = tmp_path / "mail.txt"
    kept = (exported.folder / "checkpoints.jsonl").read_text().splitlines()[0]
    mail.write_text(f"Keep this mail.\n\n{kept}\n\nhttp://portal/audit/\n")
    assert ran(exported.folder, "--checkpoints", mail)[0] == 0
    lines = exported.lines()
    rewrite(lines)
    exported.write(lines)
    (exported.folder / "checkpoints.jsonl").write_text("")
    assert ran(exported.folder)[0] == 0
    code, said = ran(exported.folder, "--checkpoints", mail)
    assert (code, said.splitlines()[0]) == (1, "BROKEN at entry 1: forked")


@long
def test_a_part_is_checked_entry_by_entry(exported: Exported) -> None:
    part = exported.folder / "part.jsonl"
    lines = [line for line in exported.lines() if line["number"] in {2, 3, 9}]
    exported.write(lines, part.name)
    assert ran(part)[0] == 1
    assert ran(part, "--part")[0] == 0
    lines[1]["entry"]["reason"] = "other"
    exported.write(lines, part.name)
    assert "BROKEN at entry 3: changed" in ran(part, "--part")[1]


@long
@pytest.mark.parametrize("text", ["", "no json", "{}", '{"number": 1}', "[1]"])
def test_what_is_no_export_cannot_be_read(exported: Exported, text: str) -> None:
    (exported.folder / "entries.jsonl").write_text(text)
    (exported.folder / "checkpoints.jsonl").write_text("")
    code, said = ran(exported.folder)
    assert (code, said.startswith("cannot be read")) == (2, True)
    assert ran(exported.folder, "--checkpoints", "/nowhere")[0] == 2


def test_every_entry_leads_to_the_root_of_its_checkpoint() -> None:
    for count in range(1, 18):
        digests = [f"{number:064x}" for number in range(count)]
        tree = verifier.Tree(digests)
        root = tree.root()
        for at, digest in enumerate(digests):
            assert verifier.root_by(digest, tree.path(at)) == root
            assert verifier.root_by(f"{99:064x}", tree.path(at)) != root


@long
@FEW
@given(st.integers(1, 300), st.integers(0, 300))
def test_a_root_grown_by_and_by_is_that_of_the_whole_tree(count: int, stop: int) -> None:
    digests = [f"{number:064x}" for number in range(count)]
    root = verifier.Root()
    for digest in digests[:stop]:
        root.add(digest)
    again = verifier.Root(json.loads(json.dumps(root.as_json())))
    for digest in digests[stop:]:
        again.add(digest)
    assert again.value() == verifier.Tree(digests).root()


@long
@FEW
@given(st.recursive(PLAIN | NUMBERS, nested, max_leaves=8))
def test_the_canonical_form_is_that_of_rfc_8785(value: Any) -> None:
    assert verifier.canonical(value).encode() == rfc8785.dumps(value)


@long
@FEW
@given(st.dictionaries(st.text(max_size=9), PLAIN | NUMBERS, max_size=6))
def test_an_entry_is_read_back_in_its_canonical_form(entry: Any) -> None:
    text = rfc8785.dumps(entry).decode()
    assert verifier._read_entry(f'{{"entry": {text}}}')[1] == text
