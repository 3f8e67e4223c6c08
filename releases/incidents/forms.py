"""What people type into an incident."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from releases.incidents.operations import LONGEST_WORDS


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


class LinkForm(forms.Form):
    """The number of a release."""

    release = forms.IntegerField(
        label=_("Number of the release"), min_value=1, max_value=2**63 - 1, widget=forms.NumberInput
    )
