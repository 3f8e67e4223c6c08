"""The one registry of acts; an act that is not named here cannot be recorded."""

from collections.abc import Mapping

from django.utils.functional import Promise

ACTIONS: dict[str, str | Promise] = {}


def register(actions: Mapping[str, str | Promise]) -> None:
    """Add acts with their names for people."""
    ACTIONS.update(actions)
