"""Forms of a person's own page."""

import zoneinfo
from functools import cache

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.people.models import User
from portal.people.tokens import DEFAULT_SCOPES

LIVES = [("30", _("30 days")), ("90", _("90 days")), ("365", _("1 year"))]
SCOPE_NAMES = {
    "read": _("Read"),
    "compose": _("Compose releases"),
    "operate": _("Start, stop and roll back"),
    "decide": _("Approve and send back"),
    "admin": _("Administer people and settings"),
}


@cache
def _zones() -> list[str]:
    return sorted(name for name in zoneinfo.available_timezones() if "/" in name)


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]
    """Language, zone, theme and keys."""

    time_zone = forms.ChoiceField(label=_("Time zone"), required=False)

    class Meta:
        model = User
        fields = ["language", "time_zone", "theme", "keys_enabled"]
        labels = {
            "language": _("Language"),
            "theme": _("Theme"),
            "keys_enabled": _("Use keyboard shortcuts"),
        }

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["language"].choices = [  # type: ignore[attr-defined]
            ("", _("As the browser")),
            ("ko", "한국어"),
            ("en", "English"),
        ]
        self.fields["time_zone"].choices = [  # type: ignore[attr-defined]
            ("", _("As the portal")),
            *((name, name) for name in _zones()),
        ]


class TokenForm(forms.Form):
    """A new personal token; the choices are what its owner may."""

    name = forms.CharField(label=_("What is it for?"), max_length=80)
    scopes = forms.MultipleChoiceField(
        label=_("It may"), widget=forms.CheckboxSelectMultiple, initial=list(DEFAULT_SCOPES)
    )
    days = forms.ChoiceField(label=_("It ends after"), choices=LIVES, initial="90")

    def __init__(self, *args: object, possible: list[str], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        choices = [(scope, SCOPE_NAMES[scope]) for scope in possible]
        self.fields["scopes"].choices = choices  # type: ignore[attr-defined]
