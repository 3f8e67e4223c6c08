"""A watch that has fallen silent is found beside it and begun anew; one that lives is left alone."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from portal.errors import TemporaryError
from portal.integrations.kubernetes.client import Listing
from portal.integrations.kubernetes.watch import CollectionWatch
from releases.rollouts import assuring
from releases.rollouts.assuring import Assurance
from releases.rollouts.watcher import Place

Json = dict[str, Any]


def body(uid: str, version: str) -> Json:
    return {"metadata": {"uid": uid, "name": uid, "resourceVersion": version}}


class Objects:
    """A cluster that only lists; what a watch knows is put into it by the test."""

    def __init__(self) -> None:
        self.there = [body("a", "1")]
        self.away = False

    def find(self, _plural: str, _namespace: str, *, fields: str = "") -> Listing:
        if self.away:
            raise TemporaryError("away")
        return Listing(list(self.there), "9")


class Scene:
    """One watched place, and how often its watch was begun anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, plural: str) -> None:
        monkeypatch.setattr(assuring, "EVERY_SECONDS", 0.0)
        monkeypatch.setattr(assuring, "DOUBTED_EVERY_SECONDS", 0.0)
        monkeypatch.setattr(assuring, "LAG_SECONDS", 0.0)
        monkeypatch.setattr(CollectionWatch, "run", lambda _watch: None)
        self.cluster = Objects()
        self.watch = CollectionWatch(self.cluster, plural, "shop", seen=lambda *_: None)  # type: ignore[arg-type]
        self.plural = plural
        self.knows(body("a", "1"))
        environment: Any = SimpleNamespace(pk=1, name="shop", cluster_id=7)
        self.place = Place(environment, {plural: self.watch}, rollouts={1})
        leader: Any = SimpleNamespace(ending=threading.Event(), places={1: self.place})
        self.assurance = Assurance(leader, 7)

    def knows(self, *bodies: Json) -> None:
        """Let the watch have told of these."""
        self.watch.objects = {each["metadata"]["uid"]: each for each in bodies}
        self.watch.listed = True

    def ask(self) -> bool:
        """Ask once, let the watch go on as it does, and say whether it was begun anew then."""
        self.assurance.go_round()
        return self.judged()

    def judged(self) -> bool:
        self.assurance.go_round()
        return self.place.watches[self.plural] is not self.watch


@pytest.fixture(params=["deployments", "pods"])
def scene(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Scene:
    return Scene(monkeypatch, request.param)


def test_one_that_knows_what_is_there_is_left_alone(scene: Scene) -> None:
    assert not scene.ask()


@pytest.mark.parametrize("there", [[], [body("a", "2")], [body("a", "1"), body("b", "1")]])
def test_one_that_does_not_tell_what_happened_is_begun_anew(scene: Scene, there: list[Json]) -> None:
    scene.cluster.there = there
    assert scene.ask()
    assert scene.watch._ending.is_set()
    assert scene.assurance.doubted


def test_one_that_tells_a_moment_later_is_left_alone(scene: Scene) -> None:
    scene.cluster.there = [body("a", "2")]
    scene.assurance.go_round()
    scene.knows(body("a", "2"))
    assert not scene.judged()


def test_one_that_is_behind_and_goes_on_is_left_alone(scene: Scene) -> None:
    scene.cluster.there = [body("a", "3")]
    scene.assurance.go_round()
    scene.knows(body("a", "2"))
    scene.cluster.there = [body("a", "2")]
    assert not scene.judged()


def test_a_cluster_that_does_not_answer_says_nothing_of_its_watches(scene: Scene) -> None:
    scene.cluster.there, scene.cluster.away = [], True
    assert not scene.ask()


def test_a_watch_that_has_not_read_its_first_list_is_not_asked(scene: Scene) -> None:
    scene.knows()
    scene.watch.listed = False
    assert not scene.ask()


def test_where_nothing_rolls_out_nothing_is_asked(scene: Scene) -> None:
    scene.cluster.there = []
    scene.place.rollouts = set()
    assert not scene.ask()


def test_where_nothing_changes_rows_are_due_again_while_the_cluster_answers(scene: Scene) -> None:
    scene.assurance.go_round()
    assert scene.place.rows_due is not None


def test_a_cluster_that_does_not_answer_makes_no_row_new(scene: Scene) -> None:
    scene.cluster.away = True
    scene.assurance.go_round()
    assert scene.place.rows_due is None


def test_rows_that_were_written_a_moment_ago_are_left_alone(scene: Scene) -> None:
    scene.place.written_at = time.monotonic()
    scene.assurance.go_round()
    assert scene.place.rows_due is None
