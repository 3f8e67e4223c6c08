"""What a cell of the board says while rollouts come and go."""

import pytest

from portal.people.models import User
from releases.models import Release
from releases.rollouts import board, queries
from releases.rollouts.models import Rollout
from tests.factories import Shop, make_release, make_service, roll_out, runs
from tests.soak import long


@pytest.fixture
def failed(shop: Shop) -> Rollout:
    """A rollout that failed, while something runs that no release put there."""
    row = runs(shop.shopping, shop.environment, "2.7.4")
    row.expected = {"digests": ["sha256:other"]}
    row.save(update_fields=["expected"])
    rollout = roll_out(make_release(shop, at="approved"), shop)
    Rollout.objects.filter(pk=rollout.pk).update(state="failed")
    Release.objects.filter(pk=rollout.release_id).update(state="failed")
    return rollout


def cell(user: User) -> queries.BoardCell:
    """The cell of the shopping service."""
    return next(each for each in queries.board(user) if each.service.name == "shopping-service")


@long
def test_a_failed_rollout_has_its_cell_while_its_release_is_open(shop: Shop, failed: Rollout) -> None:
    seen = cell(shop.cast.author)
    assert (seen.rollout, seen.drift) == (failed, None)


@long
def test_a_failed_rollout_of_a_closed_release_hides_no_difference(shop: Shop, failed: Rollout) -> None:
    Release.objects.filter(pk=failed.release_id).update(state="closed")
    seen = cell(shop.cast.author)
    assert seen.rollout is None
    assert seen.drift is not None


@long
def test_a_newer_release_takes_the_cell_from_a_failed_rollout(shop: Shop, failed: Rollout) -> None:
    newer = make_release(shop, at="approved")
    row = runs(shop.shopping, shop.environment, "2.7.4")
    row.release = newer.number
    row.save(update_fields=["release"])
    seen = cell(shop.cast.author)
    assert seen.rollout is None
    assert seen.drift is not None


@long
def test_the_board_shows_fifty_services_at_a_time_and_counts_all_of_them(shop: Shop) -> None:
    for number in range(board.PAGE_SIZE):
        row = runs(
            make_service(f"service-{number:02}", shop.payment.team, shop.environment), shop.environment, "1"
        )
        row.seen["health"] = "degraded"
        row.save(update_fields=["seen"])
    first = board.board_page(board.environments_of(shop.cast.author))
    last = board.board_page(board.environments_of(shop.cast.author), page=9)
    names = [[row.service.name for _team, rows in each.groups for row in rows] for each in (first, last)]
    assert (len(names[0]), len(names[1])) == (50, 3)
    assert not set(names[0]) & set(names[1])
    assert (first.pages, last.page, first.counts["degraded"]) == (2, 2, 50)
    shown = board.board_page(board.environments_of(shop.cast.author), show="degraded")
    assert (shown.pages, shown.counts) == (1, first.counts)
    assert (
        board.board_page(board.environments_of(shop.cast.author), team="identity").groups[0][0] == "Identity"
    )
