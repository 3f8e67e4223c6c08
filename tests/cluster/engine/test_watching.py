"""The watcher: the portal's own processes carry a rollout, and the board knows what runs."""

from portal.live.models import Event
from releases.catalog.models import Running
from releases.rollouts.models import Finding, Rollout
from tests.cluster.engine.conftest import Lay
from tests.cluster.objects import wait_for
from tests.rollouts.processes import Processes
from tests.soak import long

# Long enough to be paused.
LASTING = ({"kind": "set_image"}, {"kind": "wait_rollout", "settleSeconds": 5})
ENDS = ("succeeded", "failed", "paused", "stopped")


def wait_until_over(rollout: Rollout, *, seconds: float = 60) -> Rollout:
    """Only the portal's own processes move the rollout."""

    def over() -> bool:
        rollout.refresh_from_db()
        return rollout.state in ENDS

    wait_for(over, what="the rollout's end", seconds=seconds, pause=0.05)
    return rollout


@long
def test_the_board_learns_what_runs(lay_floor: Lay, at_work: Processes) -> None:
    floor = lay_floor(services=("a",))
    wait_until_over(floor.start("2.0.0"))

    def seen() -> Running | None:
        return Running.objects.filter(
            service__name="a", seen__version="2.0.0", seen__health="healthy"
        ).first()

    row = wait_for(seen, what="the row of what runs", seconds=15)
    assert row.seen["images"] == {"web": floor.wanted("a", "2.0.0")}
    assert (row.seen["ready"], row.seen["wanted"]) == (1, 1)
    assert Event.objects.filter(topic=f"board.{floor.environment.name}").exists()


@long
def test_what_somebody_changes_is_found_at_once_and_is_over_when_it_is_put_back(
    lay_floor: Lay, at_work: Processes
) -> None:
    floor = lay_floor(services=("a",))
    wait_for(
        lambda: Running.objects.filter(service__name="a", expected__has_key="workloads").first(),
        what="the first sight",
        seconds=30,
    )
    before = floor.image("a")
    floor.space.set_image("a", "registry.test/evil:1", fieldManager="kubectl-set")
    found = wait_for(Finding.objects.first, what="a finding", seconds=15)
    first = found.differences[0]
    assert (first["found"], first["manager"]) == ("registry.test/evil:1", "kubectl-set")
    floor.space.set_image("a", before)
    wait_for(lambda: Finding.objects.filter(state="ended").exists(), what="its end", seconds=30)
    assert Finding.objects.count() == 1


@long
def test_what_somebody_changes_while_a_rollout_is_paused_is_found_at_once(
    lay_floor: Lay, at_work: Processes
) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)), each=LASTING)
    first_sight = Running.objects.filter(expected__has_key="workloads")
    wait_for(lambda: first_sight.count() == 2, what="the first sight", seconds=30)
    rollout = floor.start("2.0.0")
    wait_for(lambda: floor.image("a") == floor.wanted("a", "2.0.0"), what="the new image", seconds=30)
    floor.order(rollout, "pause", reason="lunch")
    assert wait_until_over(rollout).state == "paused"
    for name in ("a", "b"):
        floor.space.set_image(name, f"registry.test/evil/{name}:1", fieldManager="kubectl-set")
    wait_for(lambda: Finding.objects.count() == 2, what="two findings", seconds=15)
    assert {each.differences[0]["found"] for each in Finding.objects.all()} == {
        "registry.test/evil/a:1",
        "registry.test/evil/b:1",
    }
    floor.space.set_image("a", floor.wanted("a", "2.0.0"))
    floor.space.set_image("b", "registry.test/floor/b:1.0.0")
    wait_for(lambda: Finding.objects.filter(state="ended").count() == 2, what="their ends", seconds=30)
    rollout.refresh_from_db()
    assert (rollout.state, Finding.objects.count()) == ("paused", 2)


@long
def test_what_somebody_changes_while_it_goes_on_is_found_at_once_and_nothing_else(
    lay_floor: Lay, at_work: Processes
) -> None:
    waits = ({"kind": "set_image"}, {"kind": "wait_rollout", "settleSeconds": 60})
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)), each=waits)
    first_sight = Running.objects.filter(expected__has_key="workloads")
    wait_for(lambda: first_sight.count() == 2, what="the first sight", seconds=30)
    rollout = floor.start("2.0.0")
    row = Running.objects.filter(service__name="a", seen__version="2.0.0", seen__health="healthy")
    wait_for(row.exists, what="the new version", seconds=30)
    assert not Finding.objects.exists(), "its own doing"
    before = floor.image("b")
    floor.space.set_image("b", "registry.test/evil/b:1", fieldManager="kubectl-set")
    found = wait_for(Finding.objects.first, what="a finding", seconds=15)
    assert (found.service.name, found.differences[0]["manager"]) == ("b", "kubectl-set")
    rollout.refresh_from_db()
    assert rollout.state == "running", "it has waited for nobody"
    floor.space.set_image("b", before)
    wait_for(lambda: Finding.objects.filter(state="ended").exists(), what="its end", seconds=15)
    assert Finding.objects.count() == 1


@long
def test_what_somebody_changed_while_it_went_on_is_found_when_it_is_over(
    lay_floor: Lay, at_work: Processes
) -> None:
    floor = lay_floor(services=("a", "b"), waves=(("a",), ("b",)), each=LASTING)
    first_sight = Running.objects.filter(expected__has_key="workloads")
    wait_for(lambda: first_sight.count() == 2, what="the first sight", seconds=30)
    rollout = floor.start("2.0.0")
    wait_for(lambda: floor.image("b") == floor.wanted("b", "2.0.0"), what="the second wave", seconds=40)
    floor.space.patch("deployments", "a", {"spec": {"replicas": 3}}, kind="merge")
    floor.space.wait_until_done("a")
    assert wait_until_over(rollout).state == "succeeded"
    # Well before the namespace is read as a quiet one.
    found = wait_for(Finding.objects.first, what="a finding", seconds=10)
    assert [(each["code"], each["found"]) for each in found.differences] == [("replicas", "3")]
