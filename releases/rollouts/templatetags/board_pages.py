"""How the board draws its rows."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from django import template
from django.utils.safestring import SafeString

from portal.ui.times import writer
from releases.catalog.models import Stage
from releases.rollouts.board import BoardRow
from releases.rollouts.board_rows import Surroundings, drawn, row_said

register = template.Library()


class At(Protocol):
    """An open incident; rollouts do not know its model."""

    number: int
    service_id: int
    environment_id: int


@register.simple_tag(takes_context=True)
def surroundings(context: Any, ongoing: Sequence[At], operable: Collection[int]) -> Surroundings:
    """What besides their own facts decides how the rows look.

    Args:
        ongoing: the open incidents that the person may see.
        operable: the environments in which they may open one.
    """
    return Surroundings(
        incidents={(each.service_id, each.environment_id): each.number for each in ongoing},
        operable=operable,
        composable=context["composable"],
        stale=context["stale"],
        stage=context["board"].stage,
        above=context["board"].above,
        stages={stage.value: str(stage.label) for stage in Stage},
        writer=writer(now=context["now"]),
    )


@register.simple_tag
def board_row(row: BoardRow, around: Surroundings, *, first: bool = False) -> SafeString:
    """Draw a row, or take it as it was drawn when it said the same."""
    return drawn(row_said(row, around, first=first), around.writer.language)
