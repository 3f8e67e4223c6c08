"""A restore that came to no clear end is done once more only by who may restore, asked as at the start."""

from collections.abc import Callable

import pytest
from django.test import Client

from portal import clock
from portal.audit.models import AuditEntry
from portal.errors import PermanentError
from releases import operations
from releases.rollouts import engine
from releases.rollouts.models import Rollout
from releases.rollouts.operations import give_order, start_rollout
from releases.rollouts.steps.kind import (
    ActingKind,
    Change,
    Found,
    Json,
    Outcome,
    Verdict,
    Work,
    done,
    failed,
    wait,
)
from releases.rollouts.steps.kinds import KINDS
from releases.schedules.models import Backup
from releases.schedules.restoring import request_restore
from tests.factories import Shop, approve_all, runs
from tests.people import acting
from tests.portal.api import ApiClient
from tests.rollouts.test_engine_properties import Scripted, World
from tests.soak import long

NAME, ENV = "shopping-service", "shop-production"
JOBS = [{"name": "restore", "cronJob": "restore", "purpose": "restore"}]
UNCOMPARED = Outcome(
    verdict=Verdict.INCONCLUSIVE, failure={"code": "rows_uncompared", "args": {"rows": 119, "expected": None}}
)
UNSAID = Outcome(verdict=Verdict.ERRORED, failure={"code": "rows_unsaid"})
DIFFER = failed("rows_differ", args={"rows": 119, "expected": 120})
ENGLISH = {"accept-language": "en"}


class Database(ActingKind):
    """Stands in for the Job that restores: `restored` counts how often, `says` what comes of it.

    Every other step goes well, but for what `world` has for it.
    """

    name = "restore_database"

    def __init__(self) -> None:
        self.restored = 0
        self.marks: set[str] = set()
        self.world = World(verdicts={})
        self.says: Callable[[], Outcome] = done

    def prepare(self, work: Work) -> Change | Found:
        if work.mark["portal/step"] in self.marks:
            return Found(acted={}, observed={"code": "job_runs"})
        return Change(changes=[], payload=None)

    def act(self, work: Work, change: Change) -> Json:
        self.restored += 1
        self.marks.add(work.mark["portal/step"])
        return {}

    def observe(self, work: Work) -> Outcome:
        return self.says()


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    """What a restore restores."""
    made = Database()
    look = Scripted(made.world, acts=False)
    others = {name: look for name, kind in KINDS.items() if not kind.acts}
    monkeypatch.setattr(engine, "KINDS", {**KINDS, **others, "restore_database": made})
    return made


@pytest.fixture
def restore(shop: Shop, database: Database) -> Rollout:
    """A restore that was approved and has been started, by who leads the service."""
    shop.shopping.spec["jobs"] = JOBS
    shop.shopping.save(update_fields=["spec"])
    runs(shop.shopping, shop.environment, "2.7.4")
    Backup.objects.create(
        service=shop.shopping, environment=shop.environment, name="nightly-1", made_at=clock.now()
    )
    lead = acting(shop.cast.pl)
    asked = request_restore(NAME, ENV, {"backup": "nightly-1", "confirm": NAME}, actor=lead)
    release = operations.submit_release(asked.number, actor=lead)
    approve_all(release)
    return start_rollout(release.number, actor=lead, confirmed=NAME)


def onward(rollout: Rollout) -> str:
    """Go as far as it goes now."""
    engine.advance(rollout.pk)
    rollout.refresh_from_db()
    return rollout.state


def came_to(restore: Rollout, database: Database, outcome: Outcome) -> int:
    """Let the restore come to this; returns its step."""
    database.says = lambda: outcome
    assert onward(restore) == ("failed" if outcome.verdict == Verdict.FAILED else "paused")
    assert database.restored == 1
    return int(restore.steps.get(kind="restore_database").pk)


def browser(shop: Shop, who: str) -> Client:
    client = Client(headers=ENGLISH)
    client.force_login(getattr(shop.cast, who))
    return client


@long
@pytest.mark.parametrize(("who", "outcome"), [("author", UNCOMPARED), ("pl", UNSAID)])
def test_a_resume_restores_nothing_and_says_what_to_do(
    shop: Shop, restore: Rollout, database: Database, who: str, outcome: Outcome
) -> None:
    came_to(restore, database, outcome)
    answer = ApiClient(getattr(shop.cast, who)).post(f"/rollouts/{restore.pk}/resume")
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
    client = browser(shop, who)
    page = client.get(f"/rollouts/{restore.pk}/").content.decode()
    assert 'id="bar-resume" aria-disabled="true"' in page
    assert "Resuming does not restore a database once more." in page
    assert client.post(f"/rollouts/{restore.pk}/resume/").status_code == 409
    assert (onward(restore), database.restored) == ("paused", 1)


@long
def test_a_resume_that_was_asked_while_it_ran_restores_nothing_either(
    shop: Shop, restore: Rollout, database: Database
) -> None:
    database.says = lambda: wait("made_up", seconds=0)
    onward(restore)
    give_order(restore.pk, "pause", actor=acting(shop.cast.author))
    assert onward(restore) == "paused"

    def asked_meanwhile() -> Outcome:
        give_order(restore.pk, "resume", actor=acting(shop.cast.author))
        database.says = lambda: UNCOMPARED
        return UNCOMPARED

    database.says = asked_meanwhile
    onward(restore)
    assert restore.orders.get(kind="resume").outcome == "refused: job_open"
    assert (onward(restore), database.restored) == ("paused", 1)


@long
@pytest.mark.parametrize(
    ("who", "outcome"), [("author", UNCOMPARED), ("infra_senior", DIFFER), ("director", UNSAID)]
)
def test_who_may_operate_alone_cannot_restore_again_through_any_door(
    shop: Shop, restore: Rollout, database: Database, who: str, outcome: Outcome
) -> None:
    step = came_to(restore, database, outcome)
    path = f"/rollouts/{restore.pk}/steps/{step}/retry"
    answer = ApiClient(getattr(shop.cast, who)).post(path, {"confirm": NAME})
    assert answer.status_code == 403
    assert AuditEntry.objects.filter(action="order.refused").count() == 1
    client = browser(shop, who)
    page = client.get(f"/rollouts/{restore.pk}/").content.decode()
    assert f'id="retry-{step}"' not in page
    assert f'id="skip-{step}"' in page
    assert client.get(f"{path}/").status_code == 403
    assert client.post(f"{path}/", {"confirm": NAME}).status_code == 403
    assert not restore.orders.exists()
    onward(restore)
    assert database.restored == 1


@long
@pytest.mark.parametrize("outcome", [UNCOMPARED, DIFFER])
def test_who_leads_the_service_restores_again_by_typing_its_name(
    shop: Shop, restore: Rollout, database: Database, outcome: Outcome
) -> None:
    step = came_to(restore, database, outcome)
    client, path = browser(shop, "pl"), f"/rollouts/{restore.pk}/steps/{step}/retry/"
    page = client.get(f"/rollouts/{restore.pk}/").content.decode()
    assert f'href="{path}"' in page
    assert f'action="{path}"' not in page
    panel = client.get(path).content.decode()
    assert "will be what it was in nightly-1" in panel
    assert 'name="confirm"' in panel
    for typed in ({}, {"confirm": "payment-service"}):
        assert client.post(path, typed).status_code == 422
    assert not restore.orders.exists()
    assert client.post(path, {"confirm": NAME}).status_code == 302
    database.says = lambda: done("database_restored")
    onward(restore)
    assert (database.restored, restore.steps.get(pk=step).state) == (2, "succeeded")


@long
def test_the_api_asks_for_the_name_as_well(shop: Shop, restore: Rollout, database: Database) -> None:
    step = came_to(restore, database, DIFFER)
    api, path = ApiClient(shop.cast.team_lead), f"/rollouts/{restore.pk}/steps/{step}/retry"
    for body in (None, {}, {"reason": "once more"}, {"confirm": "payment-service"}):
        answer = api.send("POST", path, body)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["missing"]] == ["confirm"]
    assert not restore.orders.exists()
    assert api.post(path, {"confirm": NAME}).status_code == 202
    onward(restore)
    assert database.restored == 2


@long
@pytest.mark.parametrize("outcome", [UNCOMPARED, DIFFER])
def test_who_may_operate_takes_the_result_for_good_and_says_why(
    shop: Shop, restore: Rollout, database: Database, outcome: Outcome
) -> None:
    step = came_to(restore, database, outcome)
    client, path = browser(shop, "author"), f"/rollouts/{restore.pk}/steps/{step}/skip/"
    assert client.post(path, {"reason": ""}).status_code == 422
    assert client.post(path, {"reason": "counted the rows by hand"}).status_code == 302
    assert onward(restore) == "succeeded"
    found = restore.steps.get(pk=step)
    assert (found.state, found.reason, database.restored) == ("skipped", "counted the rows by hand", 1)


@long
def test_another_step_of_the_restore_is_retried_with_one_press(
    shop: Shop, restore: Rollout, database: Database
) -> None:
    database.says = lambda: done("database_restored")
    health = restore.steps.get(kind="health")
    database.world.verdicts[health.key] = ["failed"]
    assert onward(restore) == "failed"
    client, path = browser(shop, "author"), f"/rollouts/{restore.pk}/steps/{health.pk}/retry/"
    assert f'action="{path}"' in client.get(f"/rollouts/{restore.pk}/").content.decode()
    assert client.get(path)["Location"] == f"/rollouts/{restore.pk}/"
    assert client.post(path).status_code == 302
    assert (onward(restore), database.restored) == ("succeeded", 1)


def kept_out() -> Outcome:
    """The cluster lets nobody look."""
    raise PermanentError("no right", code="forbidden")


@pytest.mark.parametrize(("kind", "times"), [("resume", 1), ("retry", 2)])
def test_where_nobody_could_look_a_resume_looks_again_and_a_retry_restores_once_more(
    restore: Rollout, database: Database, shop: Shop, kind: str, times: int
) -> None:
    database.says = kept_out
    assert onward(restore) == "paused"
    database.says = done
    step = restore.steps.get(kind="restore_database")
    lead = acting(shop.cast.pl)
    give_order(restore.pk, kind, actor=lead, step_id=step.pk if kind == "retry" else None, confirmed=NAME)
    assert onward(restore) == "succeeded"
    assert database.restored == times


@long
def test_a_job_that_is_gone_once_it_may_be_looked_at_again_is_not_made_anew(
    restore: Rollout, database: Database, shop: Shop
) -> None:
    database.says = kept_out
    assert onward(restore) == "paused"
    # It has ended well, and the cluster has cleared it away.
    database.marks.clear()
    database.says = lambda: Outcome(verdict=Verdict.ERRORED, failure={"code": "job_gone"})
    give_order(restore.pk, "resume", actor=acting(shop.cast.pl))
    assert onward(restore) == "paused"
    assert database.restored == 1
    assert restore.steps.get(kind="restore_database").failure == {"code": "job_gone"}
