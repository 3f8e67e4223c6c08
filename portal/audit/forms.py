"""What to look for in the record."""

from datetime import date, datetime, time, timedelta

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import ACTIONS
from portal.audit.queries import Search

# Days at the ends of the calendar have no midnight in every zone.
REACH = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(8999, 12, 31))]


class SearchForm(forms.Form):
    """Every field is optional; days are those of the reader's zone."""

    person = forms.CharField(label=_("Person"), required=False, max_length=150)
    release = forms.IntegerField(label=_("Release"), required=False, min_value=1, max_value=2**62)
    service = forms.CharField(label=_("Service"), required=False, max_length=120)
    action = forms.ChoiceField(label=_("Kind"), required=False)
    subject = forms.CharField(label=_("Subject"), required=False, max_length=200)
    start = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput(attrs={"type": "date"}), validators=REACH
    )
    end = forms.DateField(
        label=_("To"), required=False, widget=forms.DateInput(attrs={"type": "date"}), validators=REACH
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        known = sorted(ACTIONS.items(), key=lambda pair: str(pair[1]))
        self.fields["action"].choices = [("", _("All")), *known]  # type: ignore[attr-defined]

    def search(self) -> Search:
        """The search that a valid form asks for."""
        wanted = self.cleaned_data
        end = wanted["end"]
        return Search(
            person=wanted["person"],
            release=wanted["release"],
            service=wanted["service"],
            action=wanted["action"],
            subject=wanted["subject"],
            start=_midnight(wanted["start"]) if wanted["start"] else None,
            end=_midnight(end + timedelta(days=1)) if end else None,
        )


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
