"""The policy as a form: a fieldset a grade, a line a row, and one empty line more in each phase."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from approvals import policy_table
from approvals.grades import EMERGENCY
from approvals.policy_table import GradePolicy, RowRule
from approvals.states import Phase
from portal.errors import Missing
from portal.ui.looks import role_name
from releases.catalog.models import Checklist
from releases.catalog.policies.words import FIELDS, PHASES, SCOPES, SECOND_FACTORS
from releases.catalog.wording import AUDIENCES, CONDITIONS

EMPTY_LINES = 1
TERMS = (
    "covers",
    "shared",
    "deadline_hours",
    "expires_hours",
    "checklist",
    "objection_holds",
    "signoff_by_another",
    "second_factor",
)
# Where a review is owed afterwards.
EMERGENCY_TERMS = ("overdue_holds",)
HOURS = {
    "deadline_hours": gettext_lazy("Deadline, in hours"),
    "expires_hours": gettext_lazy("Expires after hours"),
}
ROLES = sorted(policy_table.MANDATES)
LONGEST_TABLE = 60_000


class NoteForm(forms.Form):
    """Why the policy should change."""

    note = forms.CharField(
        label=gettext_lazy("Why"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3})
    )


class PolicyForm(NoteForm):
    """The whole table; a line without a role is no row."""

    def __init__(
        self, data: Mapping[str, Any] | None, *, table: object, initial: dict[str, Any] | None = None
    ) -> None:
        super().__init__(data, initial=initial)
        self.base_grades = policy_table.read(table)
        self.change = policy_table.read_change(table)
        checklists = [(name, name) for name in Checklist.objects.values_list("name", flat=True)]
        for letter, rules in self.base_grades.items():
            self._add_terms(letter, rules, checklists)
            for phase, rows in _shown(rules):
                for number in range(len(rows) + EMPTY_LINES):
                    rule = rows[number] if number < len(rows) else None
                    self._add_row(f"{letter}.{phase}.{number}", rule)
        for number in range(len(self.change) + EMPTY_LINES):
            rule = self.change[number] if number < len(self.change) else None
            self._add_row(f"change.{number}", rule, signs=True)

    def _add_terms(self, letter: str, rules: GradePolicy, checklists: list[tuple[str, str]]) -> None:
        own = [(rules.checklist, rules.checklist)] if rules.checklist else []
        offered = dict.fromkeys([("", "–"), *checklists, *own])
        fields: dict[str, forms.Field] = {
            "covers": forms.CharField(required=False, max_length=policy_table.LONGEST_TEXT),
            "shared": forms.ChoiceField(choices=list(AUDIENCES.items())),
            "deadline_hours": _hours(),
            "expires_hours": _hours(),
            "checklist": forms.ChoiceField(required=False, choices=[*offered]),
            "objection_holds": forms.BooleanField(required=False),
            "signoff_by_another": forms.BooleanField(required=False),
            "second_factor": forms.ChoiceField(choices=list(SECOND_FACTORS.items())),
            "overdue_holds": forms.BooleanField(required=False),
        }
        for term in _terms(letter):
            field = fields[term]
            value = getattr(rules, term)
            field.label = str(HOURS.get(term) or FIELDS[term])
            field.initial = f"{value:g}" if isinstance(value, float) else value
            self.fields[f"{letter}.{term}"] = field

    def _add_row(self, place: str, rule: RowRule | None, *, signs: bool = False) -> None:
        roles = [(role, role_name(role)) for role in ROLES]
        fields: dict[str, forms.Field] = {
            "role": forms.ChoiceField(label=_("Role"), required=False, choices=[("", _("nobody")), *roles]),
            "count": forms.IntegerField(
                label=_("How many"), min_value=1, max_value=policy_table.MOST_PEOPLE, initial=1
            ),
            "or": _several(_("Or instead"), roles),
        }
        if not signs:
            fields["scope"] = forms.ChoiceField(
                label=_("Where"), choices=list(SCOPES.items()), initial="service"
            )
            fields["when"] = _several(_("Only when"), list(CONDITIONS.items()))
            fields["author_climbs"] = forms.BooleanField(
                label=_("Goes up the ladder when the author holds the role"), required=False
            )
        attributes = {"or": "alternatives"}
        for key, field in fields.items():
            if rule is not None:
                value = getattr(rule, attributes.get(key, key))
                field.initial = sorted(value) if isinstance(value, frozenset | tuple) else value
            self.fields[f"{place}.{key}"] = field

    def grades(self) -> Iterator[dict[str, Any]]:
        """The grades for the page, each with its fields."""
        for letter, rules in self.base_grades.items():
            yield {
                "letter": letter,
                "terms": [self[f"{letter}.{term}"] for term in _terms(letter)],
                "phases": [
                    {"name": PHASES[phase], "rows": list(self._rows(f"{letter}.{phase}", len(rows)))}
                    for phase, rows in _shown(rules)
                ],
            }

    def signatures(self) -> list[dict[str, Any]]:
        """The lines of who signs a change."""
        return list(self._rows("change", len(self.change)))

    def _rows(self, place: str, count: int) -> Iterator[dict[str, Any]]:
        for number in range(count + EMPTY_LINES):
            keys = ("role", "scope", "count", "when", "or", "author_climbs")
            fields = {
                key: self[f"{place}.{number}.{key}"]
                for key in keys
                if f"{place}.{number}.{key}" in self.fields
            }
            yield {"new": number == count, "number": number, **fields}

    def typed_table(self) -> dict[str, Any]:
        """The typed table; call after is_valid()."""
        table: dict[str, Any] = {}
        for letter, rules in self.base_grades.items():
            typed = {term: self.cleaned_data[f"{letter}.{term}"] for term in _terms(letter)}
            phases = {phase: self._typed(f"{letter}.{phase}", len(rows)) for phase, rows in _shown(rules)}
            table[letter] = {"risk": rules.risk, "title": rules.title, **typed, **phases}
        table[policy_table.CHANGE] = self._typed("change", len(self.change))
        return table

    def _typed(self, place: str, count: int) -> list[dict[str, Any]]:
        found = []
        for number in range(count + EMPTY_LINES):
            start = f"{place}.{number}."
            row = {
                key.removeprefix(start): value
                for key, value in self.cleaned_data.items()
                if key.startswith(start)
            }
            if row["role"]:
                found.append(row)
        return found


class TextForm(NoteForm):
    """The table as a text, in the words of the catalog's files."""

    text = forms.CharField(
        label=gettext_lazy("Table"),
        max_length=LONGEST_TABLE,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 30, "class": "input code-line", "spellcheck": "false"}),
    )
    field_order = ("text", "note")


class ConfirmForm(NoteForm):
    """A table whose difference was shown; it travels along unseen."""

    base = forms.IntegerField(min_value=1, max_value=2**31 - 1, widget=forms.HiddenInput)
    table = forms.CharField(max_length=LONGEST_TABLE, widget=forms.HiddenInput)

    def clean_table(self) -> dict[str, Any]:
        """The table that was shown; anything else was not sent by the page."""
        try:
            table = json.loads(self.cleaned_data["table"])
        except (ValueError, RecursionError):
            table = None
        if not isinstance(table, dict):
            raise forms.ValidationError(_("Begin anew: the table did not arrive."))
        return table


def sentences(missing: Sequence[Missing]) -> list[str]:
    """What an operation found wrong, each with its place in the table."""
    return [
        f"{each['field']}: {each['text']}" if each.get("field") else str(each.get("text", ""))
        for each in missing
    ]


def _terms(letter: str) -> tuple[str, ...]:
    return (*TERMS, *EMERGENCY_TERMS) if letter == EMERGENCY else TERMS


def _shown(rules: GradePolicy) -> Iterator[tuple[str, tuple[RowRule, ...]]]:
    """The phases that have a place in the form: a grade is reviewed before the start or afterwards."""
    for phase, rows in rules.rows().items():
        if rows or phase == Phase.SIGNOFF or (phase == Phase.OWED) == (rules.grade == EMERGENCY):
            yield phase, rows


def _hours() -> forms.Field:
    return forms.FloatField(required=False, min_value=0.01, max_value=policy_table.MOST_HOURS)


def _several(label: str, choices: list[tuple[str, Any]]) -> forms.Field:
    return forms.MultipleChoiceField(
        label=label, required=False, choices=choices, widget=forms.CheckboxSelectMultiple
    )
