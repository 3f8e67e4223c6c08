"""The grade table as data: its shape, its defaults and what makes it invalid.

    {"A": {"risk": "very_low",
           "review":  [{"role": "pl", "scope": "service", "count": 1}],
           "signoff": [{"role": "pl", "scope": "service", "count": 1, "or": ["team_lead"]}],
           "owed":    [],
           "shared":  "team",                # team | core_pls | owners
           "deadline_hours": 72,             # until when a review should be done; null: never
           "expires_hours": 336,             # after which the round is worth nothing; null: never
           "checklist": "standard",          # name of a Checklist; "" for none
           "objection_holds": false,         # an unanswered objection holds the start (default: only D)
           "signoff_by_another": false},     # a reviewer may not sign off
     "B": {…}, "C": {…}, "D": {…}, "E": {…}}

A row: "scope" is service, team, cluster_group or *; "when" names facts of which one must be true; "or" names
other roles that serve it as well (default: the team lead for a PL's sign-off); "author_climbs" sends the row
up the ladder when the author holds the role themselves (default: rows of PL in review). Keys may be written
in the catalog's way, such as deadlineHours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from portal.errors import Invalid, Missing, field_error
from portal.people.models import Role

GRADES = "ABCDE"
SCOPES = ("service", "team", "cluster_group", "*")
CONDITIONS = frozenset({"infrastructure", "traffic_path", "database_change", "new_api"})
AUDIENCES = ("team", "core_pls", "owners")
RISKS = ("very_low", "low", "medium", "high", "special")
GRADE_KEYS = frozenset(
    {
        "risk",
        "review",
        "signoff",
        "owed",
        "shared",
        "deadline_hours",
        "expires_hours",
        "checklist",
        "objection_holds",
        "signoff_by_another",
        "title",
        "covers",
    }
)
ROW_KEYS = frozenset({"role", "scope", "count", "when", "or", "author_climbs"})
MANDATES = frozenset(Role.values) - {Role.AUDITOR, Role.ADMINISTRATOR}
MOST_PEOPLE = 20


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """One row of the table."""

    role: str
    scope: str
    count: int = 1
    when: frozenset[str] = frozenset()
    alternatives: tuple[str, ...] = ()
    author_climbs: bool = False


@dataclass(frozen=True, kw_only=True)
class GradePolicy:
    """What one grade demands; times in hours."""

    grade: str
    risk: str
    review: tuple[RowRule, ...]
    signoff: tuple[RowRule, ...]
    owed: tuple[RowRule, ...]
    shared: str
    deadline_hours: float | None
    expires_hours: float | None
    checklist: str
    objection_holds: bool
    signoff_by_another: bool


def read(table: object) -> dict[str, GradePolicy]:
    """Return the table's grades.

    Raises:
        Invalid: with every fault at once; a policy that asks nobody is a fault.
    """
    errors: list[Missing] = []
    if not isinstance(table, Mapping):
        raise Invalid(missing=[field_error("policy", _("A table of grades A to E is expected."))])
    errors += [field_error(str(key), _("Unknown grade.")) for key in table if key not in [*GRADES]]
    grades = {grade: _read_grade(grade, table.get(grade), errors) for grade in GRADES}
    if errors:
        raise Invalid(missing=errors)
    return grades


def _read_grade(grade: str, data: object, errors: list[Missing]) -> GradePolicy:
    if not isinstance(data, Mapping):
        errors.append(field_error(grade, _("This grade is missing.")))
        data = {}
    data = _snake_case(data)
    errors += [field_error(f"{grade}.{key}", _("Unknown field.")) for key in data if key not in GRADE_KEYS]
    rules = {phase: _read_rows(f"{grade}.{phase}", data, errors) for phase in ("review", "signoff", "owed")}
    asked = rules["owed"] if grade == "E" else rules["review"]
    if data and not any(not rule.when for rule in asked):
        needed = "owed" if grade == "E" else "review"
        errors.append(field_error(f"{grade}.{needed}", _("At least one person must always be asked.")))
    return GradePolicy(
        grade=grade,
        risk=_word(f"{grade}.risk", data.get("risk", RISKS[GRADES.index(grade)]), RISKS, errors),
        review=rules["review"],
        signoff=rules["signoff"],
        owed=rules["owed"],
        shared=_word(f"{grade}.shared", data.get("shared", "team"), AUDIENCES, errors),
        deadline_hours=_hours(f"{grade}.deadline_hours", data.get("deadline_hours"), errors),
        expires_hours=_hours(f"{grade}.expires_hours", data.get("expires_hours"), errors),
        checklist=_text(f"{grade}.checklist", data.get("checklist"), errors),
        objection_holds=_flag(f"{grade}.objection_holds", data.get("objection_holds", grade == "D"), errors),
        signoff_by_another=_flag(
            f"{grade}.signoff_by_another", data.get("signoff_by_another", False), errors
        ),
    )


def _read_rows(field: str, data: Mapping[str, Any], errors: list[Missing]) -> tuple[RowRule, ...]:
    rows = data.get(field.split(".")[1], [])
    if not isinstance(rows, list):
        errors.append(field_error(field, _("A list of rows is expected.")))
        return ()
    return tuple(_read_row(f"{field}.{number}", row, errors) for number, row in enumerate(rows))


def _read_row(field: str, data: object, errors: list[Missing]) -> RowRule:
    if not isinstance(data, Mapping):
        errors.append(field_error(field, _("A row has a role, a scope and a count.")))
        return RowRule(role=Role.DIRECTOR, scope="team")
    data = _snake_case(data)
    errors += [field_error(f"{field}.{key}", _("Unknown field.")) for key in data if key not in ROW_KEYS]
    role = _word(f"{field}.role", data.get("role"), tuple(MANDATES), errors)
    is_pl_review = role == Role.PL and ".review." in field
    usual = [str(Role.TEAM_LEAD)] if role == Role.PL and ".signoff." in field else []
    return RowRule(
        role=role,
        scope=_word(f"{field}.scope", data.get("scope"), SCOPES, errors),
        count=_count(f"{field}.count", data.get("count", 1), errors),
        when=frozenset(_words(f"{field}.when", data.get("when", []), CONDITIONS, errors)),
        alternatives=tuple(_words(f"{field}.or", data.get("or", usual), MANDATES, errors)),
        author_climbs=_flag(f"{field}.author_climbs", data.get("author_climbs", is_pl_review), errors),
    )


def _snake_case(data: Mapping[Any, Any]) -> dict[str, Any]:
    return {re.sub(r"(?<=[a-z])([A-Z])", r"_\1", str(key)).lower(): value for key, value in data.items()}


def _word(field: str, value: object, known: tuple[str, ...], errors: list[Missing]) -> str:
    if isinstance(value, str) and value in known:
        return value
    errors.append(
        field_error(field, _("One of these is expected: {words}").format(words=", ".join(sorted(known))))
    )
    return known[0]


def _words(field: str, values: object, known: frozenset[str], errors: list[Missing]) -> list[str]:
    if not isinstance(values, list):
        errors.append(field_error(field, _("A list is expected.")))
        return []
    return [_word(f"{field}.{n}", value, tuple(known), errors) for n, value in enumerate(values)]


def _count(field: str, value: object, errors: list[Missing]) -> int:
    """A whole number of people; a truth value is no number here, though Python thinks so."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_PEOPLE:
        return value
    errors.append(
        field_error(field, _("A number of people from 1 to {most} is expected.").format(most=MOST_PEOPLE))
    )
    return 1


def _hours(field: str, value: object, errors: list[Missing]) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    errors.append(field_error(field, _("Hours above zero are expected.")))
    return None


def _text(field: str, value: object, errors: list[Missing]) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    errors.append(field_error(field, _("A text is expected.")))
    return ""


def _flag(field: str, value: object, errors: list[Missing]) -> bool:
    if isinstance(value, bool):
        return value
    errors.append(field_error(field, _("True or false is expected.")))
    return False
