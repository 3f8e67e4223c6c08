"""The parts of the compose page: each reads what was typed, hands it to the operation, and is drawn again."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from django.http import QueryDict

from portal.errors import Invalid, NotFound, PortalError, field_error
from portal.people.models import User
from releases.forms import (
    CHANGE_COLUMNS,
    DATABASE_COLUMNS,
    GRADE_FIELDS,
    GradeForm,
    TypedRow,
    WhenForm,
    WordingForm,
    attach,
    blame,
    items_data,
    rows_data,
    typed_rows,
)
from releases.models import Release
from releases.open_incidents import open_incidents
from releases.operations.composition import as_data
from releases.reading import composing

NAMES = ("items", "changes", "grade", "checks", "when", "wording")
# What an operation is and how it is carried out is settled.
OF_AN_OPERATION = ("changes", "grade", "checks", "when", "wording")


class Part(Protocol):
    """One part of the page, as stored or as typed."""

    name: str

    def data(self) -> dict[str, Any]:
        """What was typed, in the shape of the operation."""

    def blame(self, error: PortalError) -> None:
        """Write what was found wrong beside the fields."""

    def context(self, user: User) -> dict[str, Any]:
        """What the part's template shows."""


@dataclass
class ItemsPart:
    """What goes out: services and versions."""

    release: Release
    post: QueryDict | None = None
    errors: dict[str, str] = field(default_factory=dict)
    name: str = "items"

    def data(self) -> dict[str, Any]:
        """The ticked services."""
        assert self.post is not None
        return {"items": items_data(self.post, self.release)}

    def blame(self, error: PortalError) -> None:
        """Errors of items belong to the service in that place."""
        services = [item["service"] for item in self.data()["items"]]
        for fault in error.missing:
            number = str(fault.get("field", "")).removeprefix("items.").partition(".")[0]
            if number.isdigit() and int(number) < len(services):
                self.errors[services[int(number)]] = str(fault["text"])

    def context(self, user: User) -> dict[str, Any]:
        """Every service of the environment with its versions and changed keys."""
        chosen = composing.chosen_in(self.release)
        keys = {item.service.name: item.configuration for item in self.release.items.all()}
        built_by = {item.service.name: item.built_by for item in self.release.items.all()}
        if self.post is not None:
            typed_items = items_data(self.post, self.release)
            chosen = {item["service"]: item["version"] for item in typed_items}
            keys = {item["service"]: item["configuration"] for item in typed_items}
            built_by |= {item["service"]: item["built_by"] or "" for item in typed_items}
        found = composing.picks(
            user,
            self.release.environment,
            chosen=chosen,
            errors=self.errors,
            configuration=keys,
            built_by=built_by,
        )
        return {"picks": found}


@dataclass
class ChangesPart:
    """The list of changes."""

    rows: list[TypedRow]
    rest: list[str] = field(default_factory=list)
    name: str = "changes"

    def data(self) -> dict[str, Any]:
        """The rows with words in them."""
        return {"changes": rows_data(self.rows)}

    def blame(self, error: PortalError) -> None:
        """Errors of changes belong to the row in that place."""
        self.rest = blame(self.rows, "changes", error.missing)

    def context(self, user: User) -> dict[str, Any]:  # noqa: ARG002  the same for everybody
        """The rows."""
        return {"change_rows": self.rows, "change_errors": self.rest}


@dataclass
class GradePart:
    """Facts, database changes, grade and reasons."""

    release: Release
    form: GradeForm
    rows: list[TypedRow]
    rest: list[str] = field(default_factory=list)
    name: str = "grade"

    def data(self) -> dict[str, Any]:
        """The typed facts and grade."""
        _require_valid(self.form)
        data = self.form.data_for(self.rows)
        if self.form.services:
            data["items"] = [self._item(item) for item in as_data(self.release)["items"]]
        return data

    def blame(self, error: PortalError) -> None:
        """Errors go to their fields, those of database changes to their rows."""
        named = [fault for fault in error.missing if fault.get("code") == "field"]
        if named and self.form.is_valid():
            own = [fault for fault in named if not str(fault["field"]).startswith("database_changes")]
            self.rest = attach(self.form, own, GRADE_FIELDS)
            others = [fault for fault in named if fault not in own]
            self.rest += blame(self.rows, "database_changes", others)

    def context(self, user: User) -> dict[str, Any]:  # noqa: ARG002  the same for everybody
        """The form and the rows of database changes."""
        return {"grade_form": self.form, "database_rows": self.rows, "grade_errors": self.rest}

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "facts": self.form.facts_of(item["service"])}


@dataclass
class ChecksPart:
    """The checks that a submission will copy: shown, not typed."""

    release: Release
    name: str = "checks"

    def data(self) -> dict[str, Any]:
        """Nothing is typed here."""
        return {}

    def blame(self, error: PortalError) -> None:
        """Nothing here can be wrong."""

    def context(self, user: User) -> dict[str, Any]:  # noqa: ARG002  the same for everybody
        """The items by phase."""
        return {"checks": composing.checks_to_come(self.release)}


@dataclass
class WhenPart:
    """Target, time and plan."""

    form: WhenForm
    rest: list[str] = field(default_factory=list)
    name: str = "when"

    def data(self) -> dict[str, Any]:
        """The typed plan and time."""
        _require_valid(self.form)
        return self.form.as_data()

    def blame(self, error: PortalError) -> None:
        """Errors go to their fields."""
        if self.form.is_valid():
            self.rest = attach(self.form, error.missing)

    def context(self, user: User) -> dict[str, Any]:  # noqa: ARG002  the same for everybody
        """The form."""
        return {"when_form": self.form, "when_errors": self.rest}


@dataclass
class WordingPart:
    """Title and announcement."""

    form: WordingForm
    rest: list[str] = field(default_factory=list)
    name: str = "wording"

    def data(self) -> dict[str, Any]:
        """The typed words."""
        _require_valid(self.form)
        return dict(self.form.cleaned_data)

    def blame(self, error: PortalError) -> None:
        """Errors go to their fields."""
        if self.form.is_valid():
            self.rest = attach(self.form, error.missing)

    def context(self, user: User) -> dict[str, Any]:  # noqa: ARG002  the same for everybody
        """The form."""
        return {"wording_form": self.form, "wording_errors": self.rest}


def stored(name: str, release: Release, user: User) -> Part:
    """A part as the release stands, with what this person is offered."""
    return _build(name, release, user, None)


def typed(name: str, release: Release, user: User, post: QueryDict) -> Part:
    """A part as this person typed it.

    Raises:
        NotFound: there is no such part.
    """
    return _build(name, release, user, post)


def names_of(release: Release) -> tuple[str, ...]:
    """The parts that a release has."""
    return OF_AN_OPERATION if release.operation else NAMES


def _build(name: str, release: Release, user: User, post: QueryDict | None) -> Part:
    if name not in names_of(release):
        raise NotFound
    match name:
        case "items":
            return ItemsPart(release, post)
        case "changes":
            return ChangesPart(_change_rows(release, post))
        case "grade":
            return GradePart(release, _grade_form(release, user, post), _database_rows(release, post))
        case "checks":
            return ChecksPart(release)
        case "when":
            return WhenPart(_when_form(release, post))
        case "wording":
            start = {"title": release.title, "announcement": release.announcement}
            return WordingPart(WordingForm(post, initial=start))
    raise NotFound


def _grade_form(release: Release, user: User, post: QueryDict | None) -> GradeForm:
    offered = open_incidents(user, release.environment.system)
    if post is None:
        return GradeForm.of(release, offered=offered)
    return GradeForm.typed(post, release, offered=offered)


def _change_rows(release: Release, post: QueryDict | None) -> list[TypedRow]:
    if post is not None:
        rows = typed_rows(post, "changes", CHANGE_COLUMNS)
        return [*rows, *_blank(CHANGE_COLUMNS, when="add" in post or not rows)]
    stored_rows = [
        TypedRow({"area": change.area, "text": change.text, "link": change.link or ""})
        for change in release.changes.all()
    ]
    return [*stored_rows, *_blank(CHANGE_COLUMNS)]


def _database_rows(release: Release, post: QueryDict | None) -> list[TypedRow]:
    if post is not None:
        rows = typed_rows(post, "database", DATABASE_COLUMNS)
        return [*rows, *_blank(DATABASE_COLUMNS, when="add" in post or not rows)]
    stored_rows = [
        TypedRow({"service": change.get("service", ""), "text": change["text"]})
        for change in release.database_changes
    ]
    return [*stored_rows, *_blank(DATABASE_COLUMNS, when=not stored_rows)]


def _blank(columns: tuple[str, ...], *, when: bool = True) -> list[TypedRow]:
    return [TypedRow(dict.fromkeys(columns, ""))] if when else []


def _when_form(release: Release, post: QueryDict | None) -> WhenForm:
    plans = None
    if not release.operation:
        plans = [(plan.name, str(plan)) for plan in release.environment.plans.order_by("name")]
    start = {"plan": release.plan.name if release.plan else "", "target_at": release.target_at}
    return WhenForm(post, initial=start, plans=plans)


def _require_valid(form: Any) -> None:
    if not form.is_valid():
        faults = [field_error(name, str(text)) for name, texts in form.errors.items() for text in texts]
        raise Invalid(missing=faults)
