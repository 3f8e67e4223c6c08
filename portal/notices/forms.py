"""The form of a person's notices."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.notices.kinds import KINDS
from portal.notices.models import LAST_HOUR, Preferences, Way

HOURS = [(str(hour), f"{hour:02}:00") for hour in range(LAST_HOUR + 1)]


class NoticesForm(forms.Form):
    """A way for each kind, quiet hours and the digest's hour."""

    digest_hour = forms.TypedChoiceField(label=_("The daily digest leaves at"), choices=HOURS, coerce=int)
    quiet_from = forms.TypedChoiceField(
        label=_("Quiet from"),
        required=False,
        choices=[("", _("No quiet hours")), *HOURS],
        coerce=int,
        empty_value=None,
        help_text=_("What comes up then waits until they end."),
    )
    quiet_until = forms.TypedChoiceField(
        label=_("Quiet until"),
        required=False,
        choices=[("", _("No quiet hours")), *HOURS],
        coerce=int,
        empty_value=None,
    )
    trouble_wakes = forms.BooleanField(
        label=_("Tell me of failures in my rollouts in quiet hours, too"), required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ways = {
            kind: forms.ChoiceField(label=str(label), choices=Way.choices, initial=Way.AT_ONCE)
            for kind, label in KINDS.items()
        }
        self.fields = {**ways, **self.fields}

    @classmethod
    def of(cls, chosen: Preferences) -> "NoticesForm":
        """The form as the person filled it in last."""
        start: Mapping[str, object] = {
            **chosen.ways,
            "digest_hour": str(chosen.digest_hour),
            "quiet_from": "" if chosen.quiet_from is None else str(chosen.quiet_from),
            "quiet_until": "" if chosen.quiet_until is None else str(chosen.quiet_until),
            "trouble_wakes": chosen.trouble_wakes,
        }
        return cls(initial=start)

    def choices_made(self) -> dict[str, Any]:
        """What was chosen, as the operation takes it."""
        made = dict(self.cleaned_data)
        return {"ways": {kind: made.pop(kind) for kind in KINDS}, **made}
