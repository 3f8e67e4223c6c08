"""The translations are compiled without the gettext programs, and what is incomplete is named."""

import gettext
from pathlib import Path

import polib
import pytest

from portal import translations


def entry(**fields: object) -> polib.POEntry:
    return polib.POEntry(**fields)


def catalog(folder: Path, *entries: polib.POEntry) -> Path:
    path = folder / "locale" / "ko" / "LC_MESSAGES" / "django.po"
    path.parent.mkdir(parents=True)
    file = polib.POFile()
    file.metadata = {
        "Content-Type": "text/plain; charset=UTF-8",
        "Plural-Forms": "nplurals=1; plural=0;",
    }
    file.extend(entries)
    file.save(str(path))
    return path


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"msgid": "Approve", "msgstr": ""}, "not translated: 'Approve'"),
        ({"msgid": "Approve", "msgstr": "승인", "flags": ["fuzzy"]}, "guessed, not checked: 'Approve'"),
        ({"msgid": "%(count)s open", "msgstr": "미결"}, "other placeholders: '%(count)s open' as '미결'"),
        (
            {"msgid": "{name} left", "msgstr": "{nam} 나감"},
            "other placeholders: '{name} left' as '{nam} 나감'",
        ),
        (
            {"msgid": "%(n)s day", "msgid_plural": "%(n)s days", "msgstr_plural": {0: "일"}},
            "other placeholders: '%(n)s day' as '일'",
        ),
        (
            {"msgid": "{name} left", "msgstr": "{name}이(가) 나감"},
            "a particle after a name: '{name}이(가) 나감'",
        ),
        (
            {"msgid": "“%(name)s” left", "msgstr": "“%(name)s”은 나감"},
            "a particle after a name: '“%(name)s”은 나감'",
        ),
        (
            {"msgid": "Name and age", "msgstr": "이름와(과) 나이"},
            "a particle after a name: '이름와(과) 나이'",
        ),
        (
            {"msgid": "%(n)s day", "msgid_plural": "%(n)s days", "msgstr_plural": {0: "%(n)s으로"}},
            "a particle after a name: '%(n)s으로'",
        ),
    ],
)
def test_an_incomplete_translation_is_named(tmp_path: Path, fields: dict[str, object], problem: str) -> None:
    assert list(translations.problems_in(catalog(tmp_path, entry(**fields)))) == [problem]


def test_a_complete_catalog_has_no_problems(tmp_path: Path) -> None:
    entries = [
        entry(msgid="Approve", msgstr="승인"),
        entry(msgid="%(a)s before %(b)s", msgstr="%(b)s 이전의 %(a)s"),
        entry(msgid="%(n)s day", msgid_plural="%(n)s days", msgstr_plural={0: "%(n)s일"}),
        entry(msgid="{name} left {number} ({name})", msgstr="{name} 님이 {number}번을 나감 ({name}의 기록)"),
        entry(msgid="Gone", msgstr="", obsolete=True),
    ]
    assert list(translations.problems_in(catalog(tmp_path, *entries))) == []


def test_what_is_compiled_speaks_korean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = catalog(tmp_path, entry(msgid="Approve", msgstr="승인"))
    monkeypatch.setattr(translations, "REPOSITORY", tmp_path)
    translations.compile_catalogs()
    with source.with_suffix(".mo").open("rb") as file:
        assert gettext.GNUTranslations(file).gettext("Approve") == "승인"
