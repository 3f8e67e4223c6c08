"""What happened in an incident, in the reader's language."""

from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.clock import now
from portal.ui import times
from releases.incidents.models import Entry, Incident

HAPPENED: dict[str, str | Promise] = {
    "began": gettext_lazy("Trouble began"),
    "opened": gettext_lazy("Incident opened"),
    "note": gettext_lazy("Note"),
    "told": gettext_lazy("Team told"),
    "linked": gettext_lazy("Release linked"),
    "unlinked": gettext_lazy("Link taken back"),
    "corrected": gettext_lazy("Corrected"),
    "drafted": gettext_lazy("Release composed for this incident"),
    "started": gettext_lazy("Rollout began"),
    "failed": gettext_lazy("Rollout failed"),
    "ended": gettext_lazy("Rollout ended"),
    "closed": gettext_lazy("Incident closed"),
}


def first_words(incident: Incident) -> str:
    """What a notice to the team begins with; people go on from it."""
    since = times.absolute(incident.began_at, now=now())
    return _("{title}. Since {time}.").format(title=incident.title, time=since)


def correction(entry: Entry) -> str:
    """What an entry has corrected, before and after; "" where it is no correction."""
    found, changes = [], entry.changes or {}
    if "title" in changes:
        before, after = changes["title"]
        found.append(_("Title: {before} → {after}").format(before=before, after=after))
    if "began_at" in changes:
        before, after = (
            times.absolute(datetime.fromisoformat(each), now=now()) for each in changes["began_at"]
        )
        found.append(_("Since: {before} → {after}").format(before=before, after=after))
    return "\n".join(found)
