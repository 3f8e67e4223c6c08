"""Small filters that only the pages of releases need."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.utils.translation import gettext as _

from portal.ui.diffs import diff_rows
from releases import observations
from releases.operating import sentence

register = template.Library()
MOST_NAMES = 3


@register.filter
def at(values: Mapping[Any, Any], key: str | int) -> Any:
    """The value under a key that is itself a variable; None where there is none."""
    return values.get(key)


@register.filter
def worded(evidence: Mapping[str, Any]) -> str:
    """What the portal measured, in a sentence."""
    return str(observations.worded(evidence)["text"])


@register.filter
def as_reason(said: str) -> str:
    """Why something was done: the portal's own reasons in words, a person's as they are."""
    return observations.reason(said)


@register.filter
def few(names: Sequence[str]) -> str:
    """The names where they are few, else how many they are; another part of the page has them all."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return _("{count} services").format(count=len(names))


@register.inclusion_tag("components/diff.html")
def content_diff(difference: tuple[list[str], list[str]], *, label: str = "") -> dict[str, Any]:
    """Draw what changed between two sealed contents, line by line."""
    before, after = difference
    return {"rows": diff_rows("\n".join(before), "\n".join(after)), "label": label}


@register.filter
def said(operation: Mapping[str, Any]) -> str:
    """What an operation does, in a few words."""
    return sentence(operation)
