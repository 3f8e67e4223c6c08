"""What a cell of the board says while rollouts come and go."""

from collections.abc import Mapping

import pytest

from portal import clock
from portal.people.models import User
from portal.reader import Reader
from releases.models import Release
from releases.rollouts import board, queries
from releases.rollouts.models import Finding, Pin, Rollout
from tests.factories import Shop, find_change, make_release, make_service, roll_out, runs
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


def counts(shop: Shop) -> Mapping[str, int]:
    """The four numbers of the board."""
    return board.board_page(board.environments_of(Reader(shop.cast.author))).counts


@pytest.mark.parametrize(
    ("state", "counted"),
    [("paused", "moving"), ("stopped", "degraded"), ("failed", "degraded"), ("rollback_failed", "degraded")],
)
def test_what_did_not_end_well_is_trouble_until_somebody_settles_it(
    shop: Shop, failed: Rollout, state: str, counted: str
) -> None:
    Rollout.objects.filter(pk=failed.pk).update(state=state)
    assert cell(shop.cast.author).rollout == failed
    assert counts(shop) == {"degraded": 0, "moving": 0, "drift": 0, "pinned": 0} | {counted: 1}
    Release.objects.filter(pk=failed.release_id).update(state="announced")
    Rollout.objects.filter(pk=failed.pk, state="paused").update(state="succeeded")
    assert cell(shop.cast.author).rollout is None
    assert counts(shop)[counted] == 0


@pytest.mark.parametrize("state", ["stopped", "rollback_failed"])
def test_what_was_left_half_way_hides_no_difference(shop: Shop, failed: Rollout, state: str) -> None:
    Rollout.objects.filter(pk=failed.pk).update(state=state)
    seen = cell(shop.cast.author)
    assert seen.rollout == failed
    assert seen.drift is not None


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
    first = board.board_page(board.environments_of(Reader(shop.cast.author)))
    last = board.board_page(board.environments_of(Reader(shop.cast.author)), page=9)
    names = [[row.service.name for _team, rows in each.groups for row in rows] for each in (first, last)]
    assert (len(names[0]), len(names[1])) == (50, 3)
    assert not set(names[0]) & set(names[1])
    assert (first.pages, last.page, first.counts["degraded"]) == (2, 2, 50)
    shown = board.board_page(board.environments_of(Reader(shop.cast.author)), show="degraded")
    assert (shown.pages, shown.counts) == (1, first.counts)
    assert (
        board.board_page(board.environments_of(Reader(shop.cast.author)), team="identity").groups[0][0]
        == "Identity"
    )


@pytest.fixture
def eventful(shop: Shop) -> Rollout:
    """Everything at once: shopping rolls out; of auth something waits, differs, is degraded and pinned."""
    row = runs(shop.auth, shop.environment, "2.7.4")
    find_change(shop.auth, shop.environment)
    row.refresh_from_db()
    row.seen["health"] = "degraded"
    row.save(update_fields=["seen"])
    rollout = roll_out(make_release(shop, at="approved"), shop)
    make_release(shop, at="in_review", items=[{"service": "auth-service", "version": "2.8.0"}])
    Pin.objects.create(service=shop.auth, environment=shop.environment, rollout=rollout, set_at=clock.now())
    return rollout


def test_the_board_counts_what_its_cells_show(shop: Shop, eventful: Rollout) -> None:
    found = board.board_page(board.environments_of(Reader(shop.cast.author)))
    cells = [cell for _team, rows in found.groups for row in rows for cell in row.cells if cell]
    assert found.counts == {
        "degraded": sum(cell.health == "degraded" for cell in cells),
        "moving": sum(cell.rollout is not None for cell in cells),
        "drift": sum(cell.finding is not None for cell in cells),
        "pinned": sum(cell.pinned for cell in cells),
    }
    assert min(found.counts.values()) > 0
    (waits,) = [cell for cell in cells if cell.pending]
    assert (waits.service.id, [each.state for each in waits.pending]) == (shop.auth.pk, ["in_review"])
    moving = [(cell.service.id, cell.rollout) for cell in cells if cell.rollout]
    assert moving == [(shop.shopping.pk, eventful)]


@pytest.mark.parametrize(
    ("bounds", "differs"), [({"min": 1, "max": 3}, False), ({"min": 1, "max": 2}, True), (None, True)]
)
def test_the_board_lets_people_scale_within_what_the_catalog_says(
    shop: Shop, bounds: dict[str, int] | None, *, differs: bool
) -> None:
    shop.shopping.spec["scale"] = bounds
    shop.shopping.save(update_fields=["spec"])
    row = runs(shop.shopping, shop.environment, "2.7.4")
    web = {"uid": "u", "replicas": 2, "images": row.seen["images"], "digests": row.seen["digests"]}
    row.expected = {"digests": row.seen["digests"], "workloads": {"Deployment/web": web}}
    row.seen["workloads"] = {"Deployment/web": web | {"replicas": 3}}
    row.save()
    found = board.board_page(board.environments_of(Reader(shop.cast.author)))
    cells = [cell for _team, rows in found.groups for row in rows for cell in row.cells if cell]
    assert [cell.service.name for cell in cells if cell.drift] == ["shopping-service"] * differs


@long
def test_what_is_over_by_the_time_it_is_read_is_not_shown(shop: Shop, eventful: Rollout) -> None:
    facts = queries.Facts([shop.environment])
    Release.objects.update(state="withdrawn")
    Rollout.objects.update(state="stopped")
    Finding.objects.update(state="ended")
    facts.read([shop.auth.pk, shop.shopping.pk, shop.payment.pk])
    cells = [facts.cell(each, shop.environment) for each in (shop.auth, shop.shopping, shop.payment)]
    assert [(cell.rollout, cell.pending, cell.finding) for cell in cells] == [(None, (), None)] * 3


@long
def test_only_what_is_shown_of_the_board_is_read_as_a_whole(shop: Shop, eventful: Rollout) -> None:
    facts = queries.Facts([shop.environment])
    facts.read([shop.shopping.pk])
    assert (facts.findings, facts.pending) == ({}, {})
    assert [*facts.rollouts.values()] == [eventful]
