"""What a release brings out and what is said of it: asked at each start, before each wave and at each end."""

from portal.statements import Given, Question
from releases.models import Change, Item, Release

_ITEMS = Question(
    lambda: (
        Item.objects.select_related("service__team")
        .defer("service__source", "service__team__source")
        .filter(release=Given("release"))
    )
)
_HELD = "held_items"
_CHANGES = Question(lambda: Change.objects.filter(release=Given("release")))


def items_of(release: Release) -> list[Item]:
    """Return the items as they are now, each with its service and its team, or as they are held."""
    held: list[Item] | None = vars(release).get(_HELD)
    return _ITEMS.ask(release=release.pk) if held is None else held


def hold_items(release: Release) -> None:
    """Read the items for all who ask for them next, of a release that nobody keeps beyond this moment."""
    vars(release)[_HELD] = _ITEMS.ask(release=release.pk)


def changes_of(release: Release) -> list[Change]:
    """Return the lines of what is in the release as they are now."""
    return _CHANGES.ask(release=release.pk)
