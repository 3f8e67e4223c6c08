"""What people type on the pages of the calendar: times on the clock of a zone that is named beside them."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from approvals.calendar import zones
from approvals.calendar.models import EVERYWHERE
from portal import access
from portal.errors import Invalid, field_error
from portal.people.models import Team, User
from releases.catalog.models import Environment, Service

WALL = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


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
        self.fields["zone"].choices = [(name, name) for name in sorted(zones.names())]  # type: ignore[attr-defined]

    def said(self) -> dict[str, Any]:
        """What the operation takes.

        Raises:
            Invalid: a time is missing, or the clocks skip it.
        """
        said = {**super().said(), "name": self.data.get("name", "").strip()}
        zone = zones.zone_named(self.data.get("zone", ""))
        times = {}
        for field in ("starts", "ends"):
            wall = self.cleaned_data.get(field)
            if wall is None:
                raise Invalid(missing=[field_error(field, _("Choose a time."))])
            # An hour that comes twice is frozen both times.
            times[field] = zones.moment_of(wall, zone, field=field, later=field == "ends")
        return {**said, **times, "zone": zone.key}


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
