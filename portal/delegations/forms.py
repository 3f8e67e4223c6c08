"""The form that gives a delegation, and what an operation found wrong, written beside its fields."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.delegations import queries
from portal.errors import Missing
from portal.people.models import LONGEST_DELEGATION, User
from portal.ui.looks import role_name, scope_name

# The operation's names of what is wrong, by the fields that ask for it.
FIELDS = {"to": "taker", "role": "held", "starts": "starts_at", "ends": "ends_at"}
MOMENT = {"type": "datetime-local"}


class PersonChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A person by name; the account tells two of one name apart."""

    def label_from_instance(self, obj: Any) -> str:
        """Name and account."""
        return f"{obj} ({obj.username})"


class DelegationForm(forms.Form):
    """Who decides for the giver, in which of the giver's roles, and until when."""

    taker = PersonChoice(
        label=_("Who decides instead"), queryset=User.objects.none(), to_field_name="username"
    )
    held = forms.ChoiceField(label=_("Role"))
    starts_at = forms.DateTimeField(
        label=_("From"),
        required=False,
        widget=forms.DateTimeInput(attrs=MOMENT, format="%Y-%m-%dT%H:%M"),
        help_text=_("Leave it empty to begin at once."),
    )
    ends_at = forms.DateTimeField(
        label=_("Until"), widget=forms.DateTimeInput(attrs=MOMENT, format="%Y-%m-%dT%H:%M")
    )

    def __init__(self, *args: Any, giver: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.giver = giver
        self.fields["taker"].queryset = queries.possible_takers(giver)  # type: ignore[attr-defined]
        self.fields["held"].choices = [  # type: ignore[attr-defined]
            (f"{held.role} {held.scope}", f"{role_name(held.role)} · {scope_name(held.scope)}")
            for held in queries.may_give(giver)
        ]
        self.fields["ends_at"].help_text = _("At most {days} days.").format(days=LONGEST_DELEGATION.days)

    def as_data(self) -> dict[str, Any]:
        """The typed values in the shape of the operation; call after is_valid()."""
        typed = self.cleaned_data
        role, _space, scope = typed["held"].partition(" ")
        return {
            "giver": self.giver.username,
            "taker": typed["taker"].username,
            "role": role,
            "scope": scope,
            "starts_at": typed["starts_at"],
            "ends_at": typed["ends_at"],
        }

    def blame(self, missing: Iterable[Missing]) -> None:
        """Write what an operation found wrong beside the fields."""
        for fault in missing:
            name = FIELDS.get(str(fault.get("field")))
            self.add_error(name, str(fault["text"]))


class GiverForm(forms.Form):
    """For whom an administrator gives."""

    giver = PersonChoice(
        label=_("Who is away"), queryset=User.objects.none(), to_field_name="username", required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["giver"].queryset = queries.givers()  # type: ignore[attr-defined]
