"""A policy and the difference between two of them, in sentences for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from approvals import policy_table
from approvals.models import Coverage, PolicyProposal
from approvals.policy_table import GradePolicy, RowRule
from approvals.states import Phase
from portal.people.models import User
from portal.ui.looks import role_name, scope_name
from releases.catalog.wording import AUDIENCES, CONDITIONS

PHASES: dict[str, str | Promise] = {
    Phase.REVIEW: pgettext_lazy("phase", "Review"),
    Phase.SIGNOFF: pgettext_lazy("phase", "Sign-off"),
    Phase.OWED: pgettext_lazy("phase", "Review afterwards"),
}
SCOPES: dict[str, str | Promise] = {
    "service": gettext_lazy("of each service"),
    "team": gettext_lazy("of each team"),
    "cluster_group": gettext_lazy("of the cluster group"),
    "*": gettext_lazy("of the whole company"),
}
FIELDS: dict[str, str | Promise] = {
    "covers": gettext_lazy("Covers"),
    "shared": gettext_lazy("Told"),
    "deadline_hours": gettext_lazy("Deadline"),
    "expires_hours": gettext_lazy("Expires"),
    "checklist": gettext_lazy("Checklist"),
    "objection_holds": gettext_lazy("An objection holds the start"),
    "signoff_by_another": gettext_lazy("Sign-off by another than the reviewer"),
    "second_factor": gettext_lazy("Second factor"),
    "overdue_holds": gettext_lazy("An overdue review holds the next release of its services"),
    "title": gettext_lazy("Title"),
    "risk": gettext_lazy("Risk"),
}

# What the page shows by other means, and values that go without saying.
ELSEWHERE = frozenset({"covers", "title", "risk"})
UNSAID = (None, "", "none", False)
SECOND_FACTORS: dict[str, str | Promise] = {
    "none": gettext_lazy("not asked for"),
    "fresh": gettext_lazy("shown within five minutes"),
}


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What changes in one grade; without a letter, in who signs changes."""

    grade: str
    lines: tuple[str, ...]


def grades_of(table: object) -> list[dict[str, Any]]:
    """The grades of a table as a page shows them."""
    return [
        {
            "letter": letter,
            "covers": rules.covers,
            "phases": [
                {"name": PHASES[phase], "rows": [row_text(rule) for rule in rows]}
                for phase, rows in rules.rows().items()
                if rows
            ],
            "terms": [
                {"name": FIELDS[field], "value": value_text(field, getattr(rules, field))}
                for field in FIELDS
                if field not in {"covers", "title", "risk"}
                and getattr(rules, field) not in {None, "", "none", False}
            ],
        }
        for letter, rules in policy_table.read(table).items()
    ]


def signers_of(table: object) -> list[str]:
    """Who signs a change of the table."""
    return [row_text(rule) for rule in policy_table.read_change(table)]


def difference(before: object, after: object) -> list[Changed]:
    """What changes between two tables, grade by grade."""
    old, new = policy_table.read(before), policy_table.read(after)
    found = [Changed(grade=letter, lines=tuple(_grade_lines(old[letter], new[letter]))) for letter in new]
    signing = _row_lines(
        str(_("Change of the policy")), policy_table.read_change(before), policy_table.read_change(after)
    )
    found.append(Changed(grade="", lines=tuple(signing)))
    return [each for each in found if each.lines]


def row_text(rule: RowRule) -> str:
    """A row: who, where, how many, and when."""
    roles = _(" or ").join(role_name(role) for role in (rule.role, *sorted(rule.alternatives)))
    text = _("{count} × {roles} {scope}").format(count=rule.count, roles=roles, scope=SCOPES[rule.scope])
    if rule.when:
        facts = ", ".join(str(CONDITIONS[fact]) for fact in sorted(rule.when))
        text += " · " + _("when: %(facts)s") % {"facts": facts}
    return text


def value_text(field: str, value: Any) -> str:
    """A term of a grade as people say it."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if field.endswith("_hours"):
        return _("never") if value is None else _("{hours} h").format(hours=f"{value:g}")
    if field == "shared":
        return str(AUDIENCES[value])
    if field == "second_factor":
        return str(SECOND_FACTORS[value])
    return str(value) or _("none")


def gap_rows(found: Coverage) -> list[dict[str, str]]:
    """The gaps of the last look, each in words; authors by their names."""
    asked = {gap["author"] for gap in found.gaps}
    names = {user.username: str(user) for user in User.objects.filter(username__in=asked)}
    return [
        {
            "service": gap["service"],
            "cluster_group": gap["cluster_group"],
            "grade": gap["grade"],
            "author": names.get(gap["author"], gap["author"]),
            "phase": str(PHASES[gap["phase"]]),
            "role": role_name(gap["role"]),
            "scope": scope_name(gap["scope"]),
        }
        for gap in found.gaps
    ]


def gap_sentence(gap: Mapping[str, str]) -> str:
    """One gap, as a message says it."""
    author = gap["author"] or _("anybody")
    return _("{service}, grade {grade}, written by {author}: nobody is {role} of {scope}.").format(
        service=gap["service"],
        grade=gap["grade"],
        author=author,
        role=role_name(gap["role"]),
        scope=scope_name(gap["scope"]),
    )


def because_text(because: Sequence[str]) -> str:
    """Which of the two policies asks for a signature."""
    words = {"in_force": _("the policy in force"), "proposed": _("the proposed policy")}
    return ", ".join(words.get(each, each) for each in because)


def proposal_difference(proposal: PolicyProposal) -> list[Changed]:
    """What a proposal changes."""
    return difference(proposal.base.table, proposal.table)


def _grade_lines(old: GradePolicy, new: GradePolicy) -> Iterator[str]:
    for phase, rows in new.rows().items():
        yield from _row_lines(str(PHASES[phase]), old.rows()[phase], rows)
    for field, name in FIELDS.items():
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            words = {"name": name, "before": value_text(field, before), "after": value_text(field, after)}
            yield _("{name}: {before} → {after}").format(**words)


def _row_lines(name: str, old: Sequence[RowRule], new: Sequence[RowRule]) -> Iterator[str]:
    gone = [rule for rule in old if rule not in new]
    come = [rule for rule in new if rule not in old]
    for rule in list(gone):
        same = [each for each in come if replace(each, count=rule.count) == rule]
        if same:
            gone.remove(rule)
            come.remove(same[0])
            words = {"name": name, "before": row_text(rule), "after": row_text(same[0])}
            yield _("{name}: {before} → {after}").format(**words)
    for rule in gone:
        yield _("{name}: no longer asks for {row}").format(name=name, row=_whole(rule))
    for rule in come:
        yield _("{name}: asks for {row}").format(name=name, row=_whole(rule))


def _whole(rule: RowRule) -> str:
    climbs = _("goes up when the author holds the role") if rule.author_climbs else ""
    return " · ".join(text for text in (row_text(rule), climbs) if text)
