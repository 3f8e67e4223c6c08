"""The form that gives a role."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.errors import Missing
from portal.people.models import Role


class RoleForm(forms.Form):
    """A role and where it holds; what there is at that place is for the operation to say."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)
    scope = forms.CharField(
        label=_("Where"),
        max_length=120,
        help_text=_("team:KEY, service:NAME, environment:NAME, cluster_group:NAME, or * for everywhere"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].widget.attrs.update({"autocapitalize": "none", "spellcheck": "false"})

    def blame(self, missing: list[Missing]) -> None:
        """Write what the operation found wrong beside the place that it concerns."""
        for fault in missing:
            self.add_error("scope", str(fault["text"]))
