"""What a message is about, in the order of the settings page; people choose a way for each kind."""

from collections.abc import Mapping

from django.utils.functional import Promise

TROUBLE = "trouble"
KINDS: dict[str, str | Promise] = {}


def register(kinds: Mapping[str, str | Promise]) -> None:
    """Name the kinds that an app writes."""
    KINDS.update(kinds)
