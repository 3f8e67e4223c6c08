"""The pages of the top layer: who sees what, what a press does, what a refusal says."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import translation

from approvals.operations import publish_policy
from portal import clock
from portal.people.models import User
from releases.models import Release
from releases.rollouts import plans, texts
from releases.rollouts.models import Order, Rollout, Step
from releases.rollouts.states import RolloutState, StepState
from releases.rollouts.steps.kind import Planned
from releases.rollouts.waves import StepView, waves_of
from tests.factories import Shop, make_release, policy_table, runs
from tests.pages.rollouts.conftest import browser
from tests.people import BY_THE_PORTAL
from tests.soak import long


@pytest.fixture(autouse=True)
def _in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


def english(shop: Shop, name: str = "author") -> Client:
    user = getattr(shop.cast, name)
    user.language = "en"
    user.save(update_fields=["language"])
    return browser(user)


@long
def test_the_start_panel_names_services_and_starts(shop: Shop, approved: Release) -> None:
    client = english(shop)
    panel = client.get(f"/releases/{approved.number}/start/")
    assert panel.status_code == 200
    assert b"auth-service" in panel.content
    answer = client.post(f"/releases/{approved.number}/start/")
    rollout = Rollout.objects.get(release=approved)
    assert answer.status_code == 302
    assert answer["Location"] == f"/rollouts/{rollout.pk}/"


@long
def test_a_start_too_early_says_everything_that_is_missing(shop: Shop) -> None:
    release = make_release(shop, at="in_review")
    answer = english(shop).post(f"/releases/{release.number}/start/")
    assert answer.status_code == 409
    assert Rollout.objects.count() == 0
    assert b"cannot start" in answer.content


@long
def test_the_rollout_page_shows_waves_and_what_may_be_ordered(shop: Shop, rollout: Rollout) -> None:
    page = english(shop).get(f"/rollouts/{rollout.pk}/").content.decode()
    for text in ("First", "Second", "auth-service", "shopping-service", "4.1.0", "Stop"):
        assert text in page
    assert f'data-live-topic="rollout.{rollout.pk}"' in page


@long
def test_stopping_asks_why_and_then_orders(shop: Shop, rollout: Rollout) -> None:
    client = english(shop)
    panel = client.get(f"/rollouts/{rollout.pk}/stop/")
    assert panel.content.count(b'name="reason"') == 4
    assert Order.objects.count() == 0
    answer = client.post(f"/rollouts/{rollout.pk}/stop/", {"reason": "Errors seen"})
    assert answer.status_code == 302
    order = Order.objects.get()
    assert (order.kind, order.reason, order.by) == ("stop", "Errors seen", shop.cast.author)
    assert b"Stop asked" in client.get(f"/rollouts/{rollout.pk}/").content


@long
@pytest.mark.parametrize(
    ("kind", "state", "said"),
    [
        ("stop", "stopped", "Stop asked"),
        ("rollback", "rolling_back", "Rollback asked"),
        ("rollback", "rolled_back", "Rollback asked"),
    ],
)
def test_who_stopped_or_rolled_back_and_why_is_said_first(
    shop: Shop, rollout: Rollout, kind: str, state: str, said: str
) -> None:
    rollout.orders.create(
        kind=kind,
        by=shop.cast.qa,
        door="browser",
        reason="It sells nothing",
        asked_at=clock.now(),
        honoured_at=clock.now(),
        outcome="honoured",
    )
    Rollout.objects.filter(pk=rollout.pk).update(state=state)
    page = english(shop).get(f"/rollouts/{rollout.pk}/").content.decode()
    first = page.partition('aria-labelledby="waves"')[0]
    assert re.search(rf"<strong>{said}\s*</strong>.*>Qa</span>.*It sells nothing", first, re.DOTALL)
    assert ("Roll it back, or bring out the next release" in first) is (state == "stopped")


@long
def test_a_failure_says_since_when_and_the_clusters_words_once(shop: Shop, rollout: Rollout) -> None:
    since = clock.now() - timedelta(minutes=7)
    failing = rollout.steps.get(kind="wait_rollout", service__name="auth-service")
    Step.objects.filter(pk=failing.pk).update(
        state="failed", ended_at=since, failure={"code": "ErrImagePull", "message": "rpc error: no manifest"}
    )
    Rollout.objects.filter(pk=rollout.pk).update(state="failed")
    page = english(shop).get(f"/rollouts/{rollout.pk}/").content.decode()
    panel = re.findall(r'<section class="failure.*?</section>', page, re.DOTALL)
    assert "7 minutes ago" in panel[0].partition("</header>")[0]
    assert "Wait for the rollout:</span> The image cannot be pulled" in panel[0], "which step it was"
    assert panel[0].count("rpc error: no manifest") == page.count("rpc error: no manifest") == 1
    assert page.count("The image cannot be pulled") == 2


@long
def test_a_release_that_has_started_is_not_offered_once_more(shop: Shop, rollout: Rollout) -> None:
    answer = english(shop).get(f"/releases/{rollout.release_id}/start/")
    assert answer.status_code == 409
    panel = re.findall(r'<form class="panel.*?</form>', answer.content.decode(), re.DOTALL)[0]
    assert 'class="problem"' in panel
    assert "<button" not in panel


@long
def test_the_runbook_is_there_where_nobody_is_to_be_called(shop: Shop, rollout: Rollout) -> None:
    shop.plan.spec = {key: value for key, value in shop.plan.spec.items() if key != "escalation"}
    shop.plan.save(update_fields=["spec"])
    rollout.steps.filter(kind="wait_rollout").update(state="failed", failure={"code": "ErrImagePull"})
    Rollout.objects.filter(pk=rollout.pk).update(state="failed")
    page = english(shop).get(f"/rollouts/{rollout.pk}/").content.decode()
    assert page.count("https://wiki.example/rollback") == 1, "two services failed, and it is said once"


@long
@pytest.mark.parametrize(("state", "again"), [("running", True), ("failed", True), ("rolled_back", False)])
def test_without_scripts_whoever_watches_sees_what_happens(
    shop: Shop, rollout: Rollout, state: str, again: bool
) -> None:
    Rollout.objects.filter(pk=rollout.pk).update(state=state)
    page = english(shop, "outsider").get(f"/rollouts/{rollout.pk}/").content.decode()
    assert ('<noscript><meta http-equiv="refresh" content="10">' in page) is again


@long
def test_on_the_way_back_the_way_forward_can_be_read_on(shop: Shop, rollout: Rollout) -> None:
    failing = rollout.steps.get(kind="wait_rollout", service__name="auth-service")
    failure = {"code": "ErrImagePull", "message": "rpc error: no manifest"}
    Step.objects.filter(pk=failing.pk).update(state="failed", failure=failure)
    rollout.steps.create(key="back", kind="notice", position=99, direction="back", timeout_seconds=1)
    Rollout.objects.filter(pk=rollout.pk).update(state="rolling_back")
    page = english(shop).get(f"/rollouts/{rollout.pk}/").content.decode()
    [forward] = re.findall(r'aria-labelledby="forward">.*?</details>', page, re.DOTALL)
    assert "First" in forward
    assert "The image cannot be pulled: rpc error: no manifest" in forward


@long
def test_only_what_brings_a_version_out_shows_it(shop: Shop, rollout: Rollout) -> None:
    brings = rollout.steps.get(kind="set_image", service__name="auth-service")
    version = '<ins><span class="unseen">to </span>4.1.0</ins>|<span class="version">4.1.0</span>'
    client = english(shop)
    assert re.search(version, client.get(f"/rollouts/{rollout.pk}/").content.decode())
    Step.objects.filter(pk=brings.pk).update(kind="run_job")
    assert not re.search(version, client.get(f"/rollouts/{rollout.pk}/").content.decode())


@long
@pytest.mark.parametrize(
    ("kind", "seen", "said"),
    [
        ("wait_rollout", {"ready": 2, "wanted": 3}, "2/3"),
        ("wait_rollout", {"ready": 0, "wanted": 0}, ""),
        ("cluster_view", {"ready": 21, "wanted": 21}, ""),
        ("wait_rollout", {"ready": 1, "wanted": 10, "weight": 10, "updated": 1, "total": 10}, ""),
    ],
)
def test_pods_are_counted_where_that_says_how_the_service_stands(
    rollout: Rollout, kind: str, seen: dict[str, int], said: str
) -> None:
    rollout.steps.filter(kind="wait_rollout").update(
        kind=kind, acted={"seen": True}, observed={"code": "", **seen}
    )
    views = [StepView(step=each, title="") for each in rollout.steps.order_by("position", "id")]
    members = [each for wave in waves_of(views, {}) if not wave.plain for each in wave.members]
    assert [each.note for each in members] == [said, said]


@long
def test_the_dry_run_names_what_would_change_and_counts_nothing_else(
    shop: Shop, approved: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = "registry.practice/shop/auth-service"
    fields = {"object": "deployment/auth-service", "field": "image[app]"}
    new = {**fields, "before": f"{image}:4.0.0", "after": f"{image}@sha256:{'a' * 64}"}
    same = {**fields, "before": image, "after": image}
    planned = {"set_image": Planned(changes=[new, same])}
    monkeypatch.setattr(plans, "_plan", lambda work: (planned.get(work.step.kind, Planned()), ""))
    page = english(shop).get(f"/releases/{approved.number}/plan/").content.decode()
    assert "2 fields would change." in page, "one in each service"
    assert "auth-service:4.0.0" in page
    assert f"auth-service@{'a' * 12}" in page
    assert "registry.practice" not in page


@long
def test_orders_open_as_panels_of_the_page(shop: Shop, rollout: Rollout) -> None:
    client, asked = english(shop), {"HX-Request": "true"}
    for address in (
        f"/rollouts/{rollout.pk}/stop/",
        f"/rollouts/{rollout.pk}/rollback/",
        f"/rollouts/{rollout.pk}/signoff/",
        f"/releases/{rollout.release_id}/start/",
    ):
        panel = client.get(address, headers=asked).content.decode()
        assert "<html" not in panel
        assert f'hx-post="{address}"' in panel
    here = {**asked, "HX-Current-URL": f"http://testserver/rollouts/{rollout.pk}/"}
    answer = client.post(f"/rollouts/{rollout.pk}/stop/", {"reason": "Errors seen"}, headers=here)
    assert answer["HX-Trigger-After-Swap"] == "acted"
    assert Order.objects.get().kind == "stop"


@long
def test_who_may_only_look_has_no_buttons_and_is_refused(shop: Shop, rollout: Rollout) -> None:
    client = english(shop, "auditor")
    page = client.get(f"/rollouts/{rollout.pk}/").content
    assert b"bar-stop" not in page
    assert b"bar-pause" not in page
    answer = client.post(f"/rollouts/{rollout.pk}/stop/", {"reason": "x"})
    assert answer.status_code == 403
    outsider = english(shop, "outsider").post(f"/rollouts/{rollout.pk}/stop/", {"reason": "x"})
    assert b"Project lead (Service shopping-service): Pl" in outsider.content
    assert Order.objects.count() == 0


@long
def test_an_order_that_is_not_possible_keeps_the_text_and_says_why(shop: Shop, rollout: Rollout) -> None:
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.SUCCEEDED)
    answer = english(shop).post(f"/rollouts/{rollout.pk}/stop/", {"reason": "Errors seen"})
    assert answer.status_code == 409
    assert Order.objects.count() == 0


@long
def test_a_failed_step_shows_the_pods_words_its_log_and_the_choices(shop: Shop, rollout: Rollout) -> None:
    step = rollout.steps.get(kind="wait_rollout", service=shop.auth)
    failure = {
        "code": "ErrImagePull",
        "message": "manifest <b>unknown</b>",
        "pod": "auth-service-1",
        "container": "app",
        "log": ["last words"],
    }
    rollout.steps.filter(pk=step.pk).update(state=StepState.FAILED, failure=failure)
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.FAILED)
    page = english(shop).get(f"/rollouts/{rollout.pk}/").content.decode()
    words = ("The image cannot be pulled", "auth-service-1", "last words", "Retry", "Skip", "DevOps lead")
    for text in words:
        assert text in page
    assert "<b>unknown</b>" not in page
    assert "manifest &lt;b&gt;unknown&lt;/b&gt;" in page


@long
def test_the_page_of_a_failed_release_names_the_step_and_the_pods_words(shop: Shop, rollout: Rollout) -> None:
    step = rollout.steps.get(kind="wait_rollout", service=shop.auth)
    failure = {
        "code": "ImagePullBackOff",
        "message": "auth@3f9a: not found",
        "pod": "auth-1",
        "container": "app",
    }
    Step.objects.filter(pk=step.pk).update(state=StepState.FAILED, failure=failure)
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.FAILED)
    Release.objects.filter(pk=rollout.release_id).update(state="failed")
    page = english(shop).get(f"/releases/{rollout.release_id}/").content.decode()
    act = page.partition('class="next-act')[2].partition("</section>")[0]
    link = f'href="/rollouts/{rollout.pk}/#why-{step.pk}">auth-service: {texts.step_title(step)}</a>'
    assert link in act
    assert texts.cause(failure) in act
    assert "auth-1 / app: auth@3f9a: not found" in act
    there = english(shop).get(f"/rollouts/{rollout.pk}/").content.decode()
    assert f'id="why-{step.pk}"' in there
    Release.objects.filter(pk=rollout.release_id).update(state="rolling_out")
    assert link not in english(shop).get(f"/releases/{rollout.release_id}/").content.decode()


def test_a_rollout_and_its_release_are_told_apart_in_korean(shop: Shop, rollout: Rollout) -> None:
    called = f"배포 실행 {rollout.pk}"
    User.objects.filter(pk=shop.cast.author.pk).update(language="ko")
    client = browser(shop.cast.author)
    live = client.get(f"/rollouts/{rollout.pk}/").content.decode()
    assert f"{called} · #{rollout.release_id}" in live.partition("<title>")[2].partition("</title>")[0]
    crumb = live.partition('class="crumb"')[2].partition("</p>")[0]
    assert called in crumb
    assert f">#{rollout.release_id}</a>" in crumb
    for address in (f"/releases/{rollout.release_id}/", f"/releases/{rollout.release_id}/proof/"):
        page = client.get(address).content.decode()
        assert called in page
        assert f"배포 {rollout.pk}<" not in page


def test_skipping_needs_a_reason(shop: Shop, rollout: Rollout) -> None:
    step = rollout.steps.get(kind="wait_rollout", service=shop.auth)
    rollout.steps.filter(pk=step.pk).update(state=StepState.FAILED, failure={"code": "timeout"})
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.FAILED)
    client = english(shop)
    assert client.post(f"/rollouts/{rollout.pk}/steps/{step.pk}/skip/", {"reason": " "}).status_code == 422
    client.post(f"/rollouts/{rollout.pk}/steps/{step.pk}/skip/", {"reason": "known and harmless"})
    assert Order.objects.get().reason == "known and harmless"


@long
def test_a_rollback_says_what_returns_to_what(shop: Shop, rollout: Rollout) -> None:
    change = {"object": "auth-service", "field": "image", "before": "r/a:4.0", "after": "r/a:4.1.0"}
    rollout.steps.filter(kind="set_image", service=shop.auth).update(intent={"changes": [change]})
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.STOPPED)
    client = english(shop)
    panel = client.get(f"/rollouts/{rollout.pk}/rollback/").content.decode()
    assert "a:4.1.0" in panel
    assert "a:4.0<" in panel
    client.post(f"/rollouts/{rollout.pk}/rollback/", {"reason": ""})
    assert Order.objects.get().kind == "rollback"


@long
def test_a_rollback_says_that_a_migration_stays(shop: Shop, rollout: Rollout) -> None:
    params = {"job": {"name": "migrate", "cronJob": "shop-migrate"}, "section": "wave"}
    step = rollout.steps.create(kind="run_job", key="1.job", wave=1, intent={"changes": []}, params=params)
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.STOPPED)
    client = english(shop)
    told = b"does not undo the Job shop-migrate"
    assert told in client.get(f"/rollouts/{rollout.pk}/rollback/").content
    assert told not in client.get(f"/rollouts/{rollout.pk}/").content
    rollout.steps.create(kind="verify_digests", key="back.verify", direction="back", position=99)
    assert told in client.get(f"/rollouts/{rollout.pk}/").content
    step.delete()
    assert b"does not undo" not in client.get(f"/rollouts/{rollout.pk}/rollback/").content


@long
def test_a_rollback_lists_what_returns_in_its_order_and_counts_services(shop: Shop, rollout: Rollout) -> None:
    image = {"object": "auth-service", "field": "image[app]", "before": "r/a:4.0", "after": "r/a:4.1.0"}
    same = {"object": "auth-service", "field": "image[side]", "before": "r/side:1", "after": "r/side:1"}
    changed = rollout.steps.get(kind="set_image", service=shop.auth)
    rollout.steps.filter(pk=changed.pk).update(intent={"changes": [image, same]})
    colour = {"object": "service/auth", "field": "selector.color", "before": "blue", "after": "green"}
    about = {"wave": changed.wave, "service": shop.auth, "intent": {"changes": [colour]}}
    rollout.steps.create(key="switch", kind="switch_service", position=90, **about)
    Rollout.objects.filter(pk=rollout.pk).update(state=RolloutState.STOPPED)
    panel = english(shop).get(f"/rollouts/{rollout.pk}/rollback/").content.decode()
    assert "1 service returns" in panel
    assert panel.index("service/auth selector.color") < panel.index("a:4.1.0")
    assert "side" not in panel


@long
def test_unknown_orders_and_rollouts_look_alike(shop: Shop, rollout: Rollout) -> None:
    client = english(shop)
    assert client.get(f"/rollouts/{rollout.pk}/explode/").status_code == 404
    assert client.get(f"/rollouts/{rollout.pk + 1}/").status_code == 404


@long
def test_the_inbox_says_what_waits_and_what_moves(shop: Shop, approved: Release) -> None:
    release = make_release(shop, at="in_review")
    decider = english(shop, "pl").get("/").content.decode()
    own = english(shop).get("/").content.decode()
    assert f"#{release.number}" in decider
    assert f"#{approved.number}" in own
    assert "Ready to start" in own


@long
def test_the_sign_off_is_offered_to_those_alone_whom_the_rules_allow(shop: Shop) -> None:
    publish_policy(policy_table(B={"signoff_by_another": True}), actor=BY_THE_PORTAL)
    release = make_release(shop, at="awaiting_signoff")
    rollout = Rollout.objects.get(release=release)
    places = ("/", f"/releases/{release.number}/", f"/rollouts/{rollout.pk}/")
    link = f"/rollouts/{rollout.pk}/signoff/"

    def offered(name: str) -> set[bool]:
        client = english(shop, name)
        return {link in client.get(place).content.decode() for place in places}

    assert offered("team_lead") == {True}
    assert offered("pl") == {False}, "approved it in the review"
    Rollout.objects.filter(pk=rollout.pk).update(started_by=shop.cast.team_lead)
    assert offered("team_lead") == {False}, "started it"


def test_an_empty_inbox_has_one_sentence_and_one_step(shop: Shop) -> None:
    page = english(shop, "outsider").get("/").content.decode()
    assert "Nothing is waiting for you." in page
    assert 'href="/board/"' in page


@long
def test_the_board_shows_versions_pending_releases_and_filters(shop: Shop, approved: Release) -> None:
    runs(shop.auth, shop.environment, "4.0.0")
    client = english(shop)
    page = client.get("/board/").content.decode()
    for text in ("auth-service", "4.0.0", f"#{approved.number}", "production"):
        assert text in page
    assert "auth-service" not in client.get("/board/?show=pinned").content.decode().split("<main")[1]


@long
def test_a_service_page_says_what_runs_and_its_history(shop: Shop, approved: Release) -> None:
    runs(shop.auth, shop.environment, "4.0.0")
    page = english(shop).get("/services/auth-service/shop-production/").content.decode()
    assert "4.0.0" in page
    assert f"#{approved.number}" in page
    assert english(shop).get("/services/auth-service/elsewhere/").status_code == 404


@long
def test_the_dry_run_names_a_cluster_out_of_reach(shop: Shop, approved: Release) -> None:
    page = english(shop).get(f"/releases/{approved.number}/plan/")
    assert page.status_code == 200
    assert "The cluster could not be asked." in page.content.decode()


@long
def test_a_rollout_that_was_rolled_back_leads_on_to_a_copy(shop: Shop, rollout: Rollout) -> None:
    link = f'href="/releases/{rollout.release_id}/duplicate/"'
    words = "To go forward again, duplicate it and submit the copy."
    Rollout.objects.filter(pk=rollout.pk).update(state="rolled_back")
    Release.objects.filter(pk=rollout.release_id).update(state="rolled_back")
    for place in (f"/rollouts/{rollout.pk}/", f"/releases/{rollout.release_id}/"):
        for who, presses in (("author", True), ("auditor", False)):
            page = english(shop, who).get(place).content.decode()
            assert words in page
            assert (link in page) == presses
