"""What a start reports: the file for programs and the table for people."""

import json
import stat
from pathlib import Path

import pytest

from portal.embedded import report

PEOPLE: list[report.Person] = [
    {"name": "김민지", "roles": [{"role": "author", "scope": "team:commerce"}], "login_url": "http://h/1"},
    {"name": "Lee", "roles": [], "login_url": "http://h/2"},
]


def test_the_file_is_readable_by_its_owner_only_and_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    file.write_text("old and readable by all")
    report.write_report(file, {"url": "http://h", "people": PEOPLE})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["people"][0]["name"] == "김민지"
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


def test_links_stand_in_one_column_for_korean_and_latin_names() -> None:
    first, second = report.table(PEOPLE)
    assert first == "김민지  author (team:commerce)  http://h/1"
    assert second == "Lee                             http://h/2"


def test_people_are_found_behind_warnings() -> None:
    assert report.people_in('a warning\n[{"name": "x"},\n {"name": "y"}]\n') == [{"name": "x"}, {"name": "y"}]


def test_no_list_of_people_is_an_error() -> None:
    with pytest.raises(ValueError, match="no list of people"):
        report.people_in("Traceback …\n")
