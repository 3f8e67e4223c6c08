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
           "signoff_by_another": false,      # a reviewer may not sign off
           "second_factor": "none"},         # "fresh": who decides has shown it within five minutes
     "B": {…}, "C": {…}, "D": {…},
     "E": {…, "overdue_holds": true},        # an overdue owed review holds the next start of its services
     "change": [{"role": "director", "count": 1, "or": []}]}   # who signs a change of this table

"change" may be left out: one director then. A change is signed under the table in force and under the
proposed one, by different people (docs/decisions/0009).

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

from approvals.states import Phase
from portal.errors import Invalid, Missing, field_error
from portal.people.models import Role

GRADES = "ABCDE"
SCOPES = ("service", "team", "cluster_group", "*")
CONDITIONS = frozenset({"infrastructure", "traffic_path", "database_change", "new_api"})
AUDIENCES = ("team", "core_pls", "owners")
SECOND_FACTORS = ("none", "fresh")
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
        "second_factor",
        "overdue_holds",
        "title",
        "covers",
    }
)
ROW_KEYS = frozenset({"role", "scope", "count", "when", "or", "author_climbs"})
MANDATES = frozenset(Role.values) - {Role.AUDITOR, Role.ADMINISTRATOR}
MOST_PEOPLE = 20
MOST_HOURS = 8760
CHANGE = "change"
CHANGE_KEYS = frozenset({"role", "count", "or"})
LONGEST_TEXT = 400


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
    second_factor: str = "none"
    overdue_holds: bool = False
    title: str = ""
    covers: str = ""

    def rows(self) -> dict[str, tuple[RowRule, ...]]:
        """The rows by phase."""
        return {Phase.REVIEW: self.review, Phase.SIGNOFF: self.signoff, Phase.OWED: self.owed}


DIRECTOR_SIGNS = (RowRule(role=Role.DIRECTOR, scope="*"),)


def read(table: object) -> dict[str, GradePolicy]:
    """Return the table's grades.

    Raises:
        Invalid: with every fault at once; a policy that asks nobody is a fault.
    """
    return _read(table)[0]


def read_change(table: object) -> tuple[RowRule, ...]:
    """Return who signs a change of the table.

    Raises:
        Invalid: as for reading the grades.
    """
    return _read(table)[1]


def of_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table in the `spec` of a Policy document: its grades, and who signs a change of them."""
    change = {CHANGE: spec[CHANGE]} if CHANGE in spec else {}
    return {**spec["grades"], **change}


def canonical(table: object) -> dict[str, Any]:
    """Write a table in the catalog's way, each meaning in one form only, so that tables can be compared.

    Raises:
        Invalid: the table is wrong.
    """
    grades, change = _read(table)
    written: dict[str, Any] = {grade: _written_grade(rules) for grade, rules in grades.items()}
    written[CHANGE] = [
        {"role": str(rule.role), "count": rule.count}
        | ({"or": sorted(rule.alternatives)} if rule.alternatives else {})
        for rule in change
    ]
    return written


def _read(table: object) -> tuple[dict[str, GradePolicy], tuple[RowRule, ...]]:
    errors: list[Missing] = []
    if not isinstance(table, Mapping):
        raise Invalid(missing=[field_error("policy", _("A table of grades A to E is expected."))])
    errors += [field_error(str(key), _("Unknown grade.")) for key in table if key not in [*GRADES, CHANGE]]
    grades = {grade: _read_grade(grade, table.get(grade), errors) for grade in GRADES}
    change = _read_change(table[CHANGE], errors) if CHANGE in table else DIRECTOR_SIGNS
    if errors:
        raise Invalid(missing=errors)
    return grades, change


def _read_change(rows: object, errors: list[Missing]) -> tuple[RowRule, ...]:
    if not isinstance(rows, list) or not rows:
        errors.append(field_error(CHANGE, _("At least one person must always be asked.")))
        return DIRECTOR_SIGNS
    return tuple(_read_signature(f"{CHANGE}.{number}", row, errors) for number, row in enumerate(rows))


def _read_signature(field: str, data: object, errors: list[Missing]) -> RowRule:
    """A row that signs a change: always over the whole portal."""
    if not isinstance(data, Mapping):
        errors.append(field_error(field, _("A row has a role and a count.")))
        return DIRECTOR_SIGNS[0]
    errors += [field_error(f"{field}.{key}", _("Unknown field.")) for key in data if key not in CHANGE_KEYS]
    return RowRule(
        role=_word(f"{field}.role", data.get("role"), tuple(MANDATES), errors),
        scope="*",
        count=_count(f"{field}.count", data.get("count", 1), errors),
        alternatives=tuple(_words(f"{field}.or", data.get("or", []), MANDATES, errors)),
    )


def _written_grade(rules: GradePolicy) -> dict[str, Any]:
    phases = {
        str(phase): [_written_row(rule, phase) for rule in rows]
        for phase, rows in rules.rows().items()
        if rows
    }
    told: dict[str, Any] = {
        "title": rules.title,
        "covers": rules.covers,
        "deadlineHours": _written_hours(rules.deadline_hours),
        "expiresHours": _written_hours(rules.expires_hours),
        "checklist": rules.checklist,
        "secondFactor": "" if rules.second_factor == "none" else rules.second_factor,
        "overdueHolds": rules.overdue_holds,
    }
    return {
        "risk": rules.risk,
        **phases,
        "shared": rules.shared,
        "objectionHolds": rules.objection_holds,
        "signoffByAnother": rules.signoff_by_another,
        **{key: value for key, value in told.items() if value},
    }


def _written_row(rule: RowRule, phase: str) -> dict[str, Any]:
    row: dict[str, Any] = {"role": str(rule.role), "scope": rule.scope, "count": rule.count}
    if rule.when:
        row["when"] = sorted(rule.when)
    if sorted(rule.alternatives) != _usual_alternatives(rule.role, phase):
        row["or"] = sorted(rule.alternatives)
    if rule.author_climbs != _climbs_usually(rule.role, phase):
        row["authorClimbs"] = rule.author_climbs
    return row


def _written_hours(hours: float | None) -> float | None:
    return int(hours) if hours is not None and hours.is_integer() else hours


def _usual_alternatives(role: str, phase: str) -> list[str]:
    return [str(Role.TEAM_LEAD)] if role == Role.PL and phase == Phase.SIGNOFF else []


def _climbs_usually(role: str, phase: str) -> bool:
    return role == Role.PL and phase == Phase.REVIEW


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
        second_factor=_word(
            f"{grade}.second_factor", data.get("second_factor", "none"), SECOND_FACTORS, errors
        ),
        overdue_holds=_overdue_holds(grade, data, errors),
        title=_text(f"{grade}.title", data.get("title"), errors),
        covers=_text(f"{grade}.covers", data.get("covers"), errors),
    )


def _overdue_holds(grade: str, data: Mapping[str, Any], errors: list[Missing]) -> bool:
    """Only what acts first owes a review, so only there it can be overdue (product.md, "Decisions")."""
    field = f"{grade}.overdue_holds"
    holds = _flag(field, data.get("overdue_holds", False), errors)
    if holds and grade != "E":
        errors.append(field_error(field, _("Only grade E owes a review.")))
    return holds


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
    phase = field.split(".")[1]
    return RowRule(
        role=role,
        scope=_word(f"{field}.scope", data.get("scope"), SCOPES, errors),
        count=_count(f"{field}.count", data.get("count", 1), errors),
        when=frozenset(_words(f"{field}.when", data.get("when", []), CONDITIONS, errors)),
        alternatives=tuple(
            _words(f"{field}.or", data.get("or", _usual_alternatives(role, phase)), MANDATES, errors)
        ),
        author_climbs=_flag(
            f"{field}.author_climbs", data.get("author_climbs", _climbs_usually(role, phase)), errors
        ),
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
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MOST_HOURS:
        return float(value)
    errors.append(
        field_error(field, _("Hours above zero, at most {most}, are expected.").format(most=MOST_HOURS))
    )
    return None


def _text(field: str, value: object, errors: list[Missing]) -> str:
    if value is None or (isinstance(value, str) and len(value) <= LONGEST_TEXT and "\x00" not in value):
        return value or ""
    errors.append(
        field_error(field, _("A text of at most {most} characters is expected.").format(most=LONGEST_TEXT))
    )
    return ""


def _flag(field: str, value: object, errors: list[Missing]) -> bool:
    if isinstance(value, bool):
        return value
    errors.append(field_error(field, _("True or false is expected.")))
    return False
