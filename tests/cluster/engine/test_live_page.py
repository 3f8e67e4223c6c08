"""The page of a rollout while it runs: its strategy as it stands, what runs, what comes, a log's end."""

import re
import time
from collections.abc import Callable, Iterator

import pytest

from releases.rollouts import engine, pod_logs
from releases.rollouts.models import Rollout, Step
from tests.cluster.conftest import USES_CONTROL_PLANE
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_argo_rollouts import EACH, lay_canary
from tests.cluster.engine.test_canary import Metrics, canaried
from tests.cluster.engine.test_colours import two_colours
from tests.cluster.engine.test_logs import crashed
from tests.cluster.objects import deployment, failing, is_ready, wait_for
from tests.pages.rollouts.conftest import browser
from tests.rollouts.floor import PATIENCE_SECONDS, Floor, drive, why
from tests.soak import long

__all__ = ["lay_canary"]

has_logs = pytest.mark.skipif(USES_CONTROL_PLANE, reason="simulated nodes have no logs")


@pytest.fixture(autouse=True)
def _free_seats() -> Iterator[None]:
    pod_logs.SEATS.taken.clear()
    yield
    pod_logs.SEATS.taken.clear()


def page(floor: Floor, address: str, *, status: int = 200, fragment: bool = False) -> str:
    """What somebody without any role is shown."""
    user = floor.shop.cast.outsider
    user.language = "en"
    user.save(update_fields=["language"])
    answer = browser(user).get(address, headers={"HX-Request": "true"} if fragment else {})
    assert answer.status_code == status
    return answer.content.decode()


def live(floor: Floor, rollout: Rollout) -> str:
    return page(floor, f"/rollouts/{rollout.pk}/")


def shares(text: str) -> list[str]:
    """What stands beside the services as the share of their canaries."""
    return re.findall(r'<span class="canary-share">(.*?)</span>', text)


def tiles(text: str) -> list[str]:
    """Each colour with its size, and which one has the traffic."""
    mark = '<span class="tile-mark" aria-hidden="true"></span>'
    return [words(tile) for tile in re.findall(rf'class="tile tile-[^"]*">{mark}(.*?)</span>', text)]


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", html).split())


def listed(text: str, term: str) -> list[str]:
    """What stands under "Now" or "Next"."""
    found = re.findall(rf"<dt>{term}</dt><dd>(.*?)</dd>", text, re.DOTALL)
    return [words(row) for part in found for row in re.findall(r"<li>(.*?)</li>", part, re.DOTALL)]


def until_step(rollout: Rollout, holds: Callable[[Step], bool], *, key: str) -> Rollout:
    """Advance until a step is as it should be."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds(rollout.steps.get(key=key)):
        assert time.monotonic() < deadline, why(rollout)
        engine.advance(rollout.pk)
    rollout.refresh_from_db()
    return rollout


def runs(step: Step) -> bool:
    return step.state == "running"


def acted(step: Step) -> bool:
    return step.acted is not None


def watched_at(floor: Floor, percent: int) -> str:
    """The page of a rollout whose canary has a share and is watched there."""
    rollout = floor.start()
    key = f"1.api.canary.{percent}.watch"
    step = rollout.steps.get(key=key)
    rollout.steps.filter(pk=step.pk).update(params={**step.params, "seconds": 600})
    return live(floor, until_step(rollout, runs, key=key))


@long
@pytest.mark.usefixtures("gateway_api")
def test_a_canary_by_pods_shows_its_share_of_the_pods(lay_floor: Lay) -> None:
    with canaried(lay_floor, Metrics(), by="pods") as floor:
        text = watched_at(floor, 20)
    assert shares(text) == ["canary 20 %: 2 of 10 pods"]
    [now] = listed(text, "Now")
    assert now.startswith("api Watch 20% 1 of 1 gates are green")
    assert listed(text, "Next") == ["api Scale 50%"]


@long
@pytest.mark.usefixtures("gateway_api")
def test_a_canary_by_weight_shows_its_share_of_the_traffic(lay_floor: Lay) -> None:
    with canaried(lay_floor, Metrics(), by="weight", size=4) as floor:
        text = watched_at(floor, 20)
    assert shares(text) == ["canary 20 % of the traffic"]


@long
@pytest.mark.usefixtures("argo_rollouts")
def test_a_canary_of_argo_rollouts_shows_the_share_at_which_it_stands(
    lay_canary: Callable[..., Floor],
) -> None:
    image, waits, *promotions = EACH
    floor = lay_canary(each=(image, waits, {"kind": "watch", "seconds": 600}, *promotions))
    text = live(floor, until_step(floor.start(), runs, key="1.api.watch"))
    assert shares(text) == ["canary 20 %: 1 of 5 pods"]
    assert listed(text, "Next") == ["api Promote the canary"]


@long
def test_blue_green_shows_both_colours_as_the_idle_one_grows(lay_floor: Lay) -> None:
    floor = two_colours(lay_floor, checks=())
    floor.plan.spec["waves"][0]["after"][0]["replicas"] = [5, 10, 15]
    floor.plan.save(update_fields=["spec"])
    rollout = until_step(floor.start(), acted, key="1.shop.scale-10")
    text = live(floor, rollout)
    [blue, green] = tiles(text)
    assert blue == "Blue B 3 live"
    assert re.fullmatch(r"Green G \d+ → 10", green)
    assert listed(text, "Next") == ["shop Scale × 15"]
    assert drive(rollout, "awaiting_signoff", "failed", "paused").state == "awaiting_signoff", why(rollout)
    text = live(floor, rollout)
    assert tiles(text) == ["Blue B 3 live", "Green G 15"]
    assert "Nothing runs now." in text
    assert listed(text, "Next") == ["shop Switch the traffic once the result is signed off"]


@long
def test_what_runs_and_what_comes_is_told_until_the_end_and_on_the_way_back(lay_floor: Lay) -> None:
    floor = lay_floor(services=("api", "web"), waves=(("api",), ("web",)))
    rollout = until_step(floor.start(), runs, key="1.api.wait_rollout")
    text = live(floor, rollout)
    [now] = listed(text, "Now")
    assert now.startswith("api Wait for the rollout")
    assert listed(text, "Next") == ["web Set the image"]
    assert f'<a href="/rollouts/{rollout.pk}/log/api/">' in text, "for a browser without scripts"
    assert f'hx-get="/rollouts/{rollout.pk}/log/api/?until=' in text
    drive(rollout, "succeeded", "failed", "paused")
    over = live(floor, rollout)
    assert "Now and next" not in over
    assert "/log/" not in over
    floor.order(rollout, "rollback")
    engine.advance(rollout.pk)
    [waits] = rollout.steps.filter(direction="back", kind="wait_rollout", service=floor.services["web"])
    text = live(floor, until_step(rollout, runs, key=waits.key))
    [now] = listed(text, "Now")
    assert now.startswith("web Wait for the rollout")
    assert listed(text, "Next") == ["api Restore the image"]


@long
@has_logs
def test_the_log_is_the_newest_pods_and_followed_for_a_while(lay_floor: Lay) -> None:
    floor = lay_floor()
    rollout = drive(floor.start(), "succeeded", "failed", "paused")
    [pod] = [each for each in floor.space.pods("api") if not each["metadata"].get("deletionTimestamp")]
    address = f"/rollouts/{rollout.pk}/log/api/"
    whole = page(floor, address)
    assert "<html" in whole
    following = page(floor, f"{address}?until={'9' * 11}", fragment=True)
    for text in (whole, following):
        assert f"/pods/{pod['metadata']['name']}/log/" in text
        assert "ready to serve requests" in text
        assert "minutes at most" in text
    assert "<html" not in following
    ended = page(floor, f"{address}?until=1", status=286, fragment=True)
    assert "minutes at most" not in ended
    assert f'<a href="{address}">Follow</a>' in ended


@long
@has_logs
def test_the_log_is_masked_and_never_markup(lay_floor: Lay) -> None:
    floor, _pod = crashed(lay_floor)
    address = f"/rollouts/{floor.start().pk}/log/api/"

    def died() -> str | None:
        shown = page(floor, address)
        return shown if "fatal: postgres:" in shown else None

    text = wait_for(died, what="the last words of a run")
    assert "hunter2" not in text
    assert "refused &lt;b&gt;you&lt;/b&gt;" in text


@long
def test_a_log_that_cannot_be_had_says_so(lay_floor: Lay) -> None:
    waiting = deployment("api", pod_annotations=failing("ErrImagePull"))
    floor = lay_floor(services=("api", "web"), objects={"api": waiting}, unsettled=("api",))
    rollout = floor.start(services=("api",))
    assert "Nothing was written yet." in page(floor, f"/rollouts/{rollout.pk}/log/api/")
    for name in ("web", "nothing"):
        page(floor, f"/rollouts/{rollout.pk}/log/{name}/", status=404)
    person = floor.shop.cast.outsider.pk
    pod_logs.SEATS.taken.clear()
    for number in range(pod_logs.MOST_OF_ONE):
        pod_logs.SEATS.take(person, f"other-{number}", "")
    assert "Too many logs" in page(floor, f"/rollouts/{rollout.pk}/log/api/")


@long
@has_logs
@pytest.mark.usefixtures("gateway_api")
def test_the_log_beside_a_canary_is_that_of_its_own_pods_whatever_comes_after_them(lay_floor: Lay) -> None:
    with canaried(lay_floor, Metrics(), by="pods", size=4) as floor:
        watched_at(floor, 20)
        address = f"/rollouts/{Rollout.objects.get().pk}/log/api/"
        assert "/pods/api-canary-" in page(floor, address)
        before = {each["metadata"]["name"] for each in floor.space.pods("api")}
        floor.space.delete("pods", sorted(before)[0])

        def replaced() -> bool:
            ready = {each["metadata"]["name"] for each in floor.space.pods("api") if is_ready(each)}
            return bool(ready - before)

        wait_for(replaced, what="a stable pod that is younger than the canary's")
        assert "/pods/api-canary-" in page(floor, address)
