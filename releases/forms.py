"""What people type on the pages of a release, read into the shape that every door sends."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from portal.errors import Missing
from portal.ui.looks import FACTS as FACT_NAMES
from releases.content import FACTS
from releases.models import CheckResult, Release
from releases.open_incidents import OpenIncident, named
from releases.operations.evidence import LARGEST_BYTES, GivenFile

MOST_ROWS = 200
CHANGE_COLUMNS = ("area", "text", "link")
DATABASE_COLUMNS = ("service", "text")
CONFIGURATION_COLUMNS = ("key", "before", "after")
GRADE_FIELDS = {
    "grade": "grade",
    "grade_reason": "grade_reason",
    "incident": "incident_link",
    "incident.link": "incident_link",
    "incident.reason": "incident_reason",
}


@dataclass
class TypedRow:
    """One row of a table that people fill, with what is wrong in it."""

    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is written in it."""
        return not any(self.values.values())


def typed_rows(post: QueryDict, prefix: str, columns: Sequence[str]) -> list[TypedRow]:
    """Rows named PREFIX-NUMBER-COLUMN in the order of their numbers; a row to be removed is left out."""
    pattern = re.compile(rf"{re.escape(prefix)}-(\d{{1,4}})-")
    numbers = sorted({int(found[1]) for name in post if (found := pattern.match(name))})[:MOST_ROWS]
    removed = post.get("remove", "")
    return [
        TypedRow({column: post.get(f"{prefix}-{number}-{column}", "").strip() for column in columns})
        for number in numbers
        if removed != f"{prefix}-{number}"
    ]


def blame(rows: Sequence[TypedRow], prefix: str, missing: Iterable[Missing]) -> list[str]:
    """Write errors such as "changes.2.text" into their rows; returns the sentences that fit none."""
    written = [row for row in rows if not row.is_empty]
    rest = []
    for fault in missing:
        name, _dot, place = str(fault.get("field", "")).partition(".")
        number, _dot, column = place.partition(".")
        if name == prefix and number.isdigit() and int(number) < len(written):
            written[int(number)].errors[column] = str(fault["text"])
        else:
            rest.append(str(fault.get("text", "")))
    return rest


def rows_data(rows: Iterable[TypedRow]) -> list[dict[str, Any]]:
    """The rows with words in them, as the operation wants them; an empty link is none."""
    return [
        {name: (value or None) if name == "link" else value for name, value in row.values.items()}
        for row in rows
        if not row.is_empty
    ]


def items_data(post: QueryDict, release: Release | None = None) -> list[dict[str, Any]]:
    """The ticked services with what was typed of each; what the form did not show stays as it is."""
    kept = {} if release is None else {item.service.name: item.configuration for item in release.items.all()}
    return [
        {
            "service": name,
            "version": _version(post, name),
            "configuration": _configuration(post, name, kept),
            "built_by": post.get(f"built-{name}"),
        }
        for name in dict.fromkeys(post.getlist("service"))
    ]


def configuration_rows(post: QueryDict, service: str) -> list[TypedRow]:
    """The typed configuration keys of a service."""
    return typed_rows(post, f"config-{service}", CONFIGURATION_COLUMNS)


def _configuration(
    post: QueryDict, service: str, kept: Mapping[str, list[dict[str, str]]]
) -> list[dict[str, Any]]:
    typed = configuration_rows(post, service)
    return rows_data(typed) if typed else list(kept.get(service, []))


def _version(post: QueryDict, service: str) -> str:
    written = post.get(f"other-{service}", "").strip()
    return written or post.get(f"version-{service}", "").strip()


class GradeForm(forms.Form):
    """The facts of a release, and the grade with its reasons."""

    grade = forms.ChoiceField(
        label=_("Grade"),
        required=False,
        choices=[("", ""), *((letter, letter) for letter in "ABCDE")],
        widget=forms.RadioSelect,
    )
    grade_reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Needed for a grade below the proposed one; that grade's approvers then decide too."),
    )
    incident_open = forms.CharField(
        label=_("Open incident"), required=False, max_length=500, widget=forms.Select
    )
    incident_link = forms.CharField(label=_("Link to the incident"), required=False, max_length=500)
    incident_reason = forms.CharField(
        label=_("Why it cannot wait"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(
        self,
        *args: Any,
        services: Sequence[str] = (),
        offered: Sequence[OpenIncident] = (),
        **kwargs: Any,
    ) -> None:
        """Take what is offered.

        Args:
            services: of which facts are stated one by one, beside those of the whole release.
            offered: the incidents that can be chosen in place of a link.
        """
        super().__init__(*args, **kwargs)
        self.services, self.offered = services, offered
        self._offer_incidents()
        for place in ("", *(f"@{service}" for service in services)):
            for fact in FACTS:
                label = FACT_NAMES[fact]
                self.fields[f"fact-{fact}{place}"] = forms.BooleanField(label=label, required=False)

    @classmethod
    def typed(cls, post: QueryDict, release: Release, *, offered: Sequence[OpenIncident] = ()) -> "GradeForm":
        """The form as somebody typed it."""
        return cls(post, services=_told_apart(release), offered=offered)

    @classmethod
    def of(cls, release: Release, *, offered: Sequence[OpenIncident] = ()) -> "GradeForm":
        """The form as the release stands; following the proposal is no choice of its own."""
        followed = release.grade == release.proposal.get("grade")
        incident = release.incident or {}
        link = incident.get("link", "")
        is_offered = any(each.link == link for each in offered)
        facts = {f"fact-{fact}": bool(release.facts.get(fact)) for fact in FACTS}
        for item in release.items.all():
            facts |= {f"fact-{fact}@{item.service.name}": True for fact in item.facts}
        return cls(
            services=_told_apart(release),
            offered=offered,
            initial={
                "grade": "" if followed else release.grade,
                "grade_reason": release.grade_reason,
                "incident_open": link if is_offered else "",
                "incident_link": "" if is_offered else link,
                "incident_reason": incident.get("reason", ""),
                **facts,
            },
        )

    @property
    def facts(self) -> list[forms.BoundField]:
        """The check boxes of the facts."""
        return [self[f"fact-{fact}"] for fact in FACTS]

    @property
    def service_facts(self) -> list[tuple[str, list[forms.BoundField], bool]]:
        """Each service told apart, its check boxes, and whether one of them is ticked."""
        rows = [(service, [self[f"fact-{fact}@{service}"] for fact in FACTS]) for service in self.services]
        return [(service, fields, any(field.value() for field in fields)) for service, fields in rows]

    def facts_of(self, service: str) -> dict[str, bool]:
        """The typed facts of one service told apart; call after is_valid()."""
        return {fact: bool(self.cleaned_data[f"fact-{fact}@{service}"]) for fact in FACTS}

    def data_for(self, database_rows: Sequence[TypedRow]) -> dict[str, Any]:
        """The typed values in the shape of the operation; call after is_valid()."""
        typed = self.cleaned_data
        link = typed.get("incident_open") or typed["incident_link"].strip()
        return {
            "facts": {fact: bool(typed[f"fact-{fact}"]) for fact in FACTS},
            "database_changes": rows_data(database_rows),
            "grade": typed["grade"] or None,
            "grade_reason": typed["grade_reason"],
            "incident": named(link, typed["incident_reason"].strip(), self.offered),
        }

    def _offer_incidents(self) -> None:
        """Let an open incident be chosen; one that was closed in the meantime stays as it was sent."""
        if not self.offered and not self.data.get("incident_open"):
            del self.fields["incident_open"]
            return
        sent = self.data.get("incident_open", "")
        links = {"": _("None, or another by its link"), **{each.link: str(each) for each in self.offered}}
        links.setdefault(sent, sent)
        self.fields["incident_open"].widget.choices = list(links.items())


def _told_apart(release: Release) -> list[str]:
    """The services whose facts may differ: those of a release of several, or stated one by one before."""
    items = list(release.items.all())
    is_shown = len(items) > 1 or any(item.facts for item in items)
    return [item.service.name for item in items] if is_shown else []


class WhenForm(forms.Form):
    """When it should go out, and by which plan."""

    plan = forms.ChoiceField(label=_("Plan"), required=False)
    target_at = forms.DateTimeField(
        label=_("When"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Leave it empty to start by hand once it is approved."),
    )

    def __init__(self, *args: Any, plans: Sequence[tuple[str, str]] | None, **kwargs: Any) -> None:
        """Offer the plans; None where an operation needs none."""
        super().__init__(*args, **kwargs)
        if plans is None:
            del self.fields["plan"]
        else:
            self.fields["plan"].choices = list(plans)  # type: ignore[attr-defined]

    def as_data(self) -> dict[str, Any]:
        """The typed values in the shape of the operation; call after is_valid()."""
        plan = {"plan": self.cleaned_data["plan"] or None} if "plan" in self.fields else {}
        return {**plan, "target_at": self.cleaned_data["target_at"]}


class WordingForm(forms.Form):
    """Title and announcement: free to change, no approval hangs on them."""

    title = forms.CharField(label=_("Title"), required=False, max_length=200)
    announcement = forms.CharField(
        label=_("Wording of your own"),
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("Leave it empty to have the text written from the release."),
    )


class ReasonForm(forms.Form):
    """A reason in words."""

    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": _("Say why, in a sentence.")},
    )

    def __init__(self, *args: Any, needed: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = needed


class AnswerForm(forms.Form):
    """An answer to an objection."""

    answer = forms.CharField(
        label=_("Answer"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        error_messages={"required": _("Say why, in a sentence.")},
    )


class CheckForm(forms.Form):
    """How a check came out, with its evidence."""

    result = forms.ChoiceField(
        label=_("Result"),
        widget=forms.RadioSelect,
        choices=[
            (CheckResult.DONE.value, pgettext_lazy("check", "Passed")),
            (CheckResult.FAILED.value, pgettext_lazy("check", "Failed")),
            (CheckResult.NOT_APPLICABLE.value, pgettext_lazy("check", "Not applicable")),
        ],
    )
    evidence = forms.CharField(
        label=_("Evidence"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("What you saw or did. Needed when it failed or does not apply."),
    )
    link = forms.CharField(label=_("Link"), required=False, max_length=500)
    file = forms.FileField(
        label=_("File"),
        required=False,
        allow_empty_file=True,
        widget=forms.FileInput,
        help_text=_(
            "PNG, JPEG, GIF, WebP, PDF or plain text, at most 5 MB. It is handed out for download only."
        ),
    )

    def evidence_data(self) -> object:
        """The evidence as the operation takes it: a text, or a text with a link, a file or both."""
        text, link = self.cleaned_data["evidence"], self.cleaned_data["link"].strip()
        sent: UploadedFile[bytes] | None = self.cleaned_data["file"]
        if not link and sent is None:
            return text
        file = None
        if sent is not None:
            # One byte more than is taken says enough about what is too large.
            file = GivenFile(name=sent.name or "", content=sent.read(LARGEST_BYTES + 1))
        return {"text": text, "link": link, "file": file}


def attach(form: forms.Form, missing: Iterable[Missing], names: Mapping[str, str] | None = None) -> list[str]:
    """Write what an operation found wrong beside the fields; returns the sentences that fit none."""
    form.is_valid()
    rest = []
    for fault in missing:
        place = str(fault.get("field", ""))
        name = (names or {}).get(place, place)
        if name in form.errors:
            continue
        if name in form.fields:
            form.add_error(name, str(fault["text"]))
        else:
            rest.append(str(fault.get("text", "")))
    return rest
