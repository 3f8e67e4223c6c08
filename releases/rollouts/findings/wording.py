"""Differences in words: what is not as it was approved, who wrote it, and when."""

from collections.abc import Iterable
from datetime import datetime

from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from releases.rollouts.findings.differences import Difference

WORDS: dict[str, str | Promise] = {
    "image": _("another image"),
    "content": _("other content under the same name"),
    "replicas": _("another number of replicas"),
    "bounds": _("other bounds of the autoscaler"),
    "selector": _("another selector of the Service"),
    "missing": _("deleted"),
    "recreated": _("deleted and made again"),
}


def word(found: Difference) -> str:
    """Say in a few words what differs."""
    return str(WORDS[found.code])


def in_short(found: Iterable[Difference]) -> str:
    """Say what differs in a line, each thing once."""
    return ", ".join(dict.fromkeys(word(each) for each in found))


def sentence(found: Difference) -> str:
    """Say what differs from what, for a message."""
    subject = f"{found.object} {found.field}".strip()
    text = (
        gettext("{what}: {difference}").format(what=subject, difference=word(found))
        if subject
        else word(found)
    )
    return (
        f"{text} ({found.expected or '–'} → {found.found or '–'})" if found.expected or found.found else text
    )


def written_at(found: Difference) -> datetime | None:
    """When the field was last written, by the cluster's clock."""
    return parse_datetime(found.at) if found.at else None
