"""What people type on the pages of the calendar: times on the clock of a zone that is named beside them."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from approvals.calendar import zones
from approvals.calendar.models import EVERYWHERE, Freeze, OpenHours
from approvals.calendar.rules import Window
from approvals.digests import digest_of
from portal import access
from portal.errors import Invalid, field_error
from portal.people.models import Team, User
from portal.ui import times
from releases.catalog.models import Environment, Service

WALL = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
REACH = [MinValueValidator(zones.EARLIEST), MaxValueValidator(zones.LATEST)]
DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class WallField(forms.DateTimeField):
    """A time as the clock on the wall shows it, without a zone."""

    widget = WALL

    def to_python(self, value: Any) -> datetime | None:
        """Read the time; the zone is said in a field of its own."""
        with timezone.override(UTC):
            found = super().to_python(value)
        return found.replace(tzinfo=None) if found else None


class ScheduleForm(forms.Form):
    """When a release is to start."""

    wall = WallField(label=_("When"))
    zone = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def moment(self) -> datetime:
        """The moment that was typed.

        Raises:
            Invalid: there is none, or the clocks skip it.
        """
        self.is_valid()
        wall = self.cleaned_data.get("wall")
        if wall is None:
            raise Invalid(missing=[field_error("wall", _("Choose a time."))])
        zone = zones.zone_named(self.cleaned_data.get("zone") or settings.TIME_ZONE, field="wall")
        return zones.moment_of(wall, zone, field="wall")


class StopForm(forms.Form):
    """Where the line is stopped, and why."""

    scope = forms.ChoiceField(label=_("Where"))
    reason = forms.CharField(label=_("Reason"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = scopes_for(user)  # type: ignore[attr-defined]

    def said(self) -> dict[str, Any]:
        """What the operation takes, be it nothing."""
        self.is_valid()
        return {name: self.data.get(name, "").strip() for name in ("scope", "reason")}


class FreezeForm(StopForm):
    """A freeze with its times."""

    name = forms.CharField(label=_("Name"), max_length=120)
    starts = WallField(label=_("Begins"))
    ends = WallField(label=pgettext_lazy("freeze", "Ends"))
    zone = forms.ChoiceField(label=_("Time zone"))
    field_order = ["name", "scope", "starts", "ends", "zone", "reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["zone"].choices = _zones()  # type: ignore[attr-defined]

    def said(self) -> dict[str, Any]:
        """What the operation takes.

        Raises:
            Invalid: a time is missing, or the clocks skip it.
        """
        said: dict[str, Any] = {**super().said(), "name": self.data.get("name", "").strip()}
        zone = zones.zone_named(self.data.get("zone", ""))
        moments: dict[str, Any] = {}
        for field in ("starts", "ends"):
            if field not in self.fields:
                continue
            wall = self.cleaned_data.get(field)
            if wall is None:
                raise Invalid(missing=[field_error(field, _("Choose a time."))])
            # An hour that comes twice is frozen both times.
            moments[field] = zones.moment_of(wall, zone, field=field, later=field == "ends")
        return {**said, **moments, "zone": zone.key}


class ChangeFreezeForm(FreezeForm):
    """Other times or another name for a freeze; the beginning of one that holds is not asked for."""

    field_order = ["name", "starts", "ends", "zone", "reason"]

    def __init__(self, *args: Any, freeze: Freeze, is_holding: bool, **kwargs: Any) -> None:
        super().__init__(*args, initial=_times_of(freeze), **kwargs)
        del self.fields["scope"]
        self.fields["reason"].label = _("Why it changes")
        if is_holding:
            del self.fields["starts"]
        self.freeze = freeze

    def said(self) -> dict[str, Any]:
        """What the operation takes."""
        said = super().said()
        del said["scope"]
        return {"starts": self.freeze.starts_at, **said}


class HoursForm(forms.Form):
    """When an environment is open, week by week."""

    days = forms.MultipleChoiceField(
        label=_("Days"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one day.")},
    )
    opens = forms.TimeField(
        label=_("Opens at"), widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    closes = forms.TimeField(
        label=_("Closes at"),
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text=_("At or before the opening: on the day after."),
    )
    zone = forms.ChoiceField(label=_("Time zone"))
    first_day = forms.DateField(label=_("First day"), required=False, widget=DAY, validators=REACH)
    last_day = forms.DateField(
        label=_("Last day"),
        required=False,
        widget=DAY,
        validators=REACH,
        help_text=_("After it these hours stay closed until somebody changes or ends them."),
    )
    reason = forms.CharField(label=_("Reason"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = [(str(number), name) for number, name in enumerate(times.weekdays())]
        self.fields["days"].choices = named  # type: ignore[attr-defined]
        self.fields["zone"].choices = _zones()  # type: ignore[attr-defined]

    def window(self) -> Window | None:
        """What was typed as a rule; None where it is none yet, which the errors of the fields say."""
        if set(self.errors) - {"reason"}:
            return None
        said = self.cleaned_data
        return Window(
            days=frozenset(int(day) for day in said["days"]),
            start=said["opens"],
            end=said["closes"],
            zone=zones.zone_named(said["zone"]),
            first=said["first_day"],
            last=said["last_day"],
        )

    def seal(self) -> str:
        """What was typed, in short: what was looked at is what is saved."""
        typed = {name: str(value) for name, value in self.cleaned_data.items() if name != "reason"}
        return digest_of(typed)


def hours_initial(hours: OpenHours) -> dict[str, Any]:
    """What the form shows of a window that stands."""
    return {
        "days": [str(day) for day in hours.days],
        "opens": hours.opens_at,
        "closes": hours.closes_at,
        "zone": hours.zone,
        "first_day": hours.first_day,
        "last_day": hours.last_day,
    }


def _times_of(freeze: Freeze) -> dict[str, Any]:
    """Name and times of a freeze, on the clock in which they were said."""
    zone = zones.zone_named(freeze.zone)
    wall = {
        name: moment.astimezone(zone).replace(tzinfo=None)
        for name, moment in (("starts", freeze.starts_at), ("ends", freeze.ends_at))
        if moment is not None
    }
    return {"name": freeze.name, "zone": zone.key, **wall}


def _zones() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(zones.names())]


def scopes_for(user: User) -> list[tuple[str, Any]]:
    """Every place the person may know of, by kind."""
    kinds: list[tuple[Any, list[tuple[str, str]]]] = [
        (
            _("Environment"),
            [(f"environment:{each.name}", str(each)) for each in access.visible(user, Environment)],
        ),
        (_("Team"), [(f"team:{each.key}", each.title) for each in Team.objects.all()]),
        (_("Service"), [(f"service:{each.name}", str(each)) for each in access.visible(user, Service)]),
    ]
    return [(EVERYWHERE, _("Everywhere")), *((name, rows) for name, rows in kinds if rows)]
