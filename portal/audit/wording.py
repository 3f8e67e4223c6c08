"""What the record stores in words for programs, said in words for people."""

import json
from collections.abc import Mapping
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from portal.ui.looks import ALIASES, ROLES, STATES, role_name, state_look

Names = Mapping[str, str | Promise]

SUBJECTS: Final[Names] = {
    "arrival": pgettext_lazy("subject", "CI event in an environment"),
    "backup": pgettext_lazy("subject", "Backup"),
    "delivery": pgettext_lazy("subject", "CI event"),
    "finding": pgettext_lazy("subject", "Unapproved change"),
    "place": pgettext_lazy("subject", "Place in the queue"),
    "catalog": pgettext_lazy("subject", "Catalog"),
    "check": pgettext_lazy("subject", "Check"),
    "decision": pgettext_lazy("subject", "Decision"),
    "freeze": pgettext_lazy("subject", "Freeze"),
    "delegation": pgettext_lazy("subject", "Delegation"),
    "order": pgettext_lazy("subject", "Order"),
    "gate": pgettext_lazy("subject", "Gate"),
    "incident": pgettext_lazy("subject", "Incident"),
    "key": pgettext_lazy("subject", "Key"),
    "person": pgettext_lazy("subject", "Person"),
    "pin": pgettext_lazy("subject", "Pin"),
    "policy": pgettext_lazy("subject", "Policy"),
    "proposal": pgettext_lazy("subject", "Change of the policy"),
    "record": pgettext_lazy("subject", "Record"),
    "release": pgettext_lazy("subject", "Release"),
    "request": pgettext_lazy("subject", "Approval request"),
    "rollout": pgettext_lazy("subject", "Rollout"),
    "step": pgettext_lazy("subject", "Step"),
    "token": pgettext_lazy("subject", "Access token"),
    "windows": pgettext_lazy("subject", "Windows"),
}
DOORS: Final[Names] = {
    "api": pgettext_lazy("door", "API"),
    "browser": pgettext_lazy("door", "Browser"),
    "cli": pgettext_lazy("door", "Command line"),
    "hook": pgettext_lazy("door", "CI event"),
    "migration": pgettext_lazy("door", "Migration"),
    "slack": "Slack",
    "worker": pgettext_lazy("door", "Worker"),
}
FIELDS: Final[Names] = {
    "accepted": _("Roles that may fill it"),
    "active": _("Active"),
    "attempt": _("Attempt"),
    "barred": _("May not decide"),
    "by_release": _("Replaced by"),
    "capacities": _("In which role"),
    "changes": _("Changes"),
    "code": _("Code"),
    "content": _("Content"),
    "delegations": _("By delegation"),
    "digest": _("Seal"),
    "email": _("E-mail"),
    "ends": _("Ends"),
    "evidence": _("Evidence"),
    "ends_at": _("Ends"),
    "expires_at": _("Ends"),
    "first": _("From entry"),
    "from": pgettext_lazy("delegation", "Given by"),
    "grade": _("Grade"),
    "images": _("Images"),
    "key": _("Step"),
    "kind": _("Kind"),
    "language": _("Language"),
    "last": _("Up to entry"),
    "name": _("Name"),
    "observed": _("Seen"),
    "of": _("Person"),
    "order": _("Order"),
    "person": _("Person"),
    "phase": _("Phase"),
    "policy": _("Policy"),
    "public_key": _("Public key"),
    "public_keys": _("Public keys"),
    "requirements": _("Approvals asked for"),
    "result": _("Result"),
    "role": _("Role"),
    "round": _("Round"),
    "scope": _("Scope"),
    "scopes": _("May"),
    "starts": _("Begins"),
    "starts_at": _("Starts"),
    "state": _("State"),
    "subject": _("Release"),
    "table": _("Table"),
    "text": pgettext_lazy("field", "Text"),
    "time_zone": _("Time zone"),
    "title": _("Title"),
    "to": pgettext_lazy("delegation", "Given to"),
    "verdict": _("Verdict"),
    "version": _("Version"),
}
STATE_FIELDS = frozenset({"state", "verdict", "result"})


def subject_name(kind: str) -> str:
    """The kind of thing that was acted on; an unlisted one stands as it is."""
    return str(SUBJECTS.get(kind, kind))


def door_name(door: str) -> str:
    """The way by which somebody came in."""
    return str(DOORS.get(door, door))


def field_name(field: str) -> str:
    """The name of a changed field."""
    return str(FIELDS.get(field, field))


def value_text(field: str, value: Any) -> str:
    """A stored value as people read it: states and roles by their names, structures over several lines."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(_("yes") if value else _("no"))
    if field in STATE_FIELDS and ALIASES.get(str(value), str(value)) in STATES:
        return str(state_look(value).label)
    if field == "role" and value in ROLES:
        return role_name(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
