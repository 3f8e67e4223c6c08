"""What people type into an incident."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from releases.incidents.operations import LONGEST_TITLE, LONGEST_WORDS
from releases.models import Release

EVERY = "*"


class WordsForm(forms.Form):
    """A text of one name."""

    def __init__(self, *args: Any, name: str, label: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields[name] = forms.CharField(
            label=label,
            max_length=LONGEST_WORDS,
            widget=forms.Textarea(attrs={"rows": 4}),
            error_messages={"required": _("Say it in a sentence.")},
        )


class ServiceForm(forms.Form):
    """Which service of a rollout is in trouble, or all of them."""

    service = forms.ChoiceField(
        label=_("Service in trouble"), error_messages={"required": _("Choose the service.")}
    )

    def __init__(self, *args: Any, services: Mapping[str, str], **kwargs: Any) -> None:
        """Offer the services.

        Args:
            services: what is said of each, by name.
        """
        super().__init__(*args, **kwargs)
        every = _("Every service of this release ({count})").format(count=len(services))
        offered = [("", _("Choose…")), *services.items(), (EVERY, every)]
        self.fields["service"].choices = offered  # type: ignore[attr-defined]

    @property
    def name(self) -> str:
        """The chosen service, "" for every one; call after is_valid()."""
        chosen = self.cleaned_data["service"]
        return "" if chosen == EVERY else str(chosen)


class CorrectForm(forms.Form):
    """What it is called, and since when the trouble lasts, on the reader's clock."""

    title = forms.CharField(label=_("Title"), max_length=LONGEST_TITLE)
    began_at = forms.DateTimeField(
        label=_("Trouble since"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Recovery is measured from here."),
    )

    @property
    def changed(self) -> dict[str, Any]:
        """What was typed anew; a time is typed to the minute, and stays to the second where it was not."""
        return {name: self.cleaned_data[name] for name in self.changed_data}


class UnlinkForm(forms.Form):
    """Which link was a mistake."""

    release = forms.TypedChoiceField(
        label=_("Release"), coerce=int, error_messages={"required": _("Choose the release.")}
    )

    def __init__(self, *args: Any, releases: Iterable[Release], **kwargs: Any) -> None:
        """Offer the releases that are linked."""
        super().__init__(*args, **kwargs)
        offered = [(each.number, f"#{each.number} {each.title}") for each in releases]
        self.fields["release"].choices = offered  # type: ignore[attr-defined]


class LinkForm(forms.Form):
    """The number of a release."""

    release = forms.IntegerField(
        label=_("Number of the release"), min_value=1, max_value=2**63 - 1, widget=forms.NumberInput
    )
