"""The tour of the README in real browsers, on the whole portal: released, stopped, rolled back, audited."""

import json
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.real_portal import PATIENCE_MS, Json, Person, RealPortal, has_kubectl
from tests.chromium import chromium
from tests.embedded.whole import Portal
from tests.soak import long

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("whole")]

MANAGER, QA, AUDITOR = "jiho", "nayoung", "gamsa"
PLATFORM_LEAD, CONTENT_LEAD = "sungmin", "hyejin"
ENVIRONMENT = "portal-universe-production"
ROLLOUT_MS = 60_000
USUAL_MS = 5_000


@pytest.fixture(scope="module")
def portal(whole_portal: Portal) -> Iterator[RealPortal]:
    """The whole portal with a browser before it."""
    expect.set_options(timeout=PATIENCE_MS)
    with chromium() as browser:
        yield RealPortal(process=whole_portal, report=whole_portal.report(), browser=browser)
    expect.set_options(timeout=USUAL_MS)


@long
def test_a_core_release_goes_from_composing_to_closed(portal: RealPortal) -> None:
    manager = portal.enter(MANAGER)
    number = compose(manager, {"auth-service": "v1.4.0", "blog-service": "v1.4.0"})
    submit(manager.page)
    for lead in (PLATFORM_LEAD, CONTENT_LEAD):
        approve(portal, lead, number)
    answer_checks(portal, number, "before")
    start(manager, number)
    watch_until_verified(manager.page)
    approved = approved_digests(portal, number)
    assert len(approved) == 2
    if has_kubectl():
        assert running_digests(portal, approved) == approved
    for lead in (PLATFORM_LEAD, CONTENT_LEAD):
        sign_off(portal, lead, number)
    answer_checks(portal, number, "after")
    announce_and_close(manager, number)
    assert portal.complaints() == {}


@long
def test_a_stopped_rollout_returns_to_what_ran_and_the_auditor_reads_it(portal: RealPortal) -> None:
    versions = {"auth-service": "v1.4.1", "notification-service": "v1.4.0-unready"}
    before = running_digests(portal, versions) if has_kubectl() else {}
    number, rollout = start_by_api(portal, versions)
    page = portal.enter(MANAGER).go(f"/rollouts/{rollout}/")
    expect(page.locator(".node", has_text="auth-service")).to_have_class("node node-ok", timeout=ROLLOUT_MS)
    stop_half_way(page)
    roll_back(page)
    if has_kubectl():
        assert running_digests(portal, versions) == before
        assert len(before) == 2
    the_auditor_reads_and_can_press_nothing(portal, number, rollout)
    verified = portal.manage("audit", "verify")
    assert verified.returncode == 0, verified.stderr
    assert portal.complaints() == {}


def compose(manager: Person, versions: dict[str, str]) -> int:
    """Tick services on the board, take versions, write a line of changes; returns the release's number."""
    page = manager.go("/board/")
    for service in versions:
        page.locator(f"input[name=service][value={service}]").check()
    page.get_by_role("button", name="배포 작성").click()
    for service, version in versions.items():
        expect(page.locator(f"#service-{service}")).to_be_checked()
        page.locator(f"#version-{service}").select_option(version)
    page.get_by_role("button", name="초안 만들기").click()
    page.wait_for_url("**/edit/")
    page.locator("#change-area-0").fill("API")
    page.locator("#change-text-0").fill("로그인 기록에 접속 지역 추가")
    page.locator("#save-changes").click()
    expect(page.locator("#preview-text")).to_contain_text("[API] 로그인 기록에 접속 지역 추가")
    expect(page.locator("#compose-title .grade-letter")).to_have_text("D")
    expect(page.locator("#proposal")).to_contain_text("auth-service")
    for lead in ("한성민", "임혜진"):
        expect(page.locator("#approvers")).to_contain_text(lead)
    return int(page.url.split("/releases/")[1].split("/")[0])


def submit(page: Page) -> None:
    """Send the open draft into review."""
    page.locator("#submit-link").click()
    page.locator("#submit-button").click()
    expect(page.locator("#release-title")).to_contain_text("검토 중")


def approve(portal: RealPortal, username: str, number: int) -> None:
    """Find the release in the inbox and approve exactly what it holds."""
    page = portal.enter(username).go("/")
    page.locator(f"a[href='/releases/{number}/review/']").click()
    expect(page.locator(".requirement-mine")).to_be_visible()
    page.locator("#approve-link").click()
    page.locator("#decide-button").click()
    expect(page.locator("#take-back-link")).to_be_visible()


def answer_checks(portal: RealPortal, number: int, phase: str) -> None:
    """Tick what QA and the release manager may tick in a phase."""
    listed = portal.ask(MANAGER, "GET", f"/releases/{number}/checklist")["items"]
    for check in listed:
        if check["phase"] != phase or check["result"] or check["kind"] != "person":
            continue
        username = QA if check["role"] == "qa" else MANAGER
        page = portal.enter(username).go(f"/releases/{number}/")
        page.locator(f"#check-link-{check['id']}").click()
        page.locator("form.panel input[name=result][value=done]").check()
        page.locator("form.panel .panel-end button").click()
        expect(page.locator(f"#check-{check['id']} .is-done")).to_be_visible()


def start(manager: Person, number: int) -> None:
    """Start from the release's page."""
    page = manager.go(f"/releases/{number}/")
    page.locator("#next-link").click()
    page.get_by_role("button", name="배포 시작").click()
    page.wait_for_url("**/rollouts/*/")


def watch_until_verified(page: Page) -> None:
    """See the page move by itself, without a reload, to the verified end."""
    page.evaluate("window.stayed = true")
    expect(page.locator("#rollout .rollout-now")).to_contain_text("성공", timeout=ROLLOUT_MS)
    expect(page.locator("#rollout .notice-ok")).to_contain_text("승인한 것과 정확히 같습니다")
    assert page.evaluate("window.stayed") is True


def sign_off(portal: RealPortal, username: str, number: int) -> None:
    """A lead confirms the result, from the inbox."""
    page = portal.enter(username).go("/")
    page.locator(".rows-item", has_text=f"#{number} ").first.click()
    page.locator("#signoff-form button[value=approve]").click()
    page.wait_for_url(f"**/releases/{number}/")


def announce_and_close(manager: Person, number: int) -> None:
    """Say that it is out, and end the release's life."""
    page = manager.go(f"/releases/{number}/")
    page.locator("#next-link").click()
    page.locator("form.panel button.button").click()
    expect(page.locator("#release-title")).to_contain_text("공지됨")
    page.locator("#next-link").click()
    page.locator("form.panel button.button").click()
    expect(page.locator("#release-title")).to_contain_text("종료")


def start_by_api(portal: RealPortal, versions: dict[str, str]) -> tuple[int, int]:
    """Compose, approve, tick and start a release by the API; returns its number and its rollout's."""
    items = [{"service": name, "version": version} for name, version in versions.items()]
    content = {"title": "인증과 알림", "environment": ENVIRONMENT, "items": items, "facts": {}}
    changes = [{"area": "API", "text": "알림 재전송", "link": None}]
    number = portal.ask(MANAGER, "POST", "/releases", {**content, "changes": changes})["number"]
    release = portal.ask(MANAGER, "POST", f"/releases/{number}/submit")
    decision = {"verdict": "approve", "content_digest": release["content_digest"], "reason": "", "for": None}
    portal.ask(PLATFORM_LEAD, "POST", f"/releases/{number}/decisions", decision)
    done = {"result": "done", "evidence": {"text": "확인함"}}
    for check in portal.ask(MANAGER, "GET", f"/releases/{number}/checklist")["items"]:
        if check["phase"] == "before" and check["kind"] == "person" and not check["result"]:
            username = QA if check["role"] == "qa" else MANAGER
            portal.ask(username, "POST", f"/releases/{number}/checklist/{check['id']}", done)
    until_measured(portal, number)
    return number, portal.ask(MANAGER, "POST", f"/releases/{number}/start")["id"]


def until_measured(portal: RealPortal, number: int) -> None:
    """Wait for what the portal itself answers before a start."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        listed = portal.ask(MANAGER, "GET", f"/releases/{number}/checklist")["items"]
        if all(check["result"] == "done" for check in listed if check["phase"] == "before"):
            return
        time.sleep(0.5)
    raise AssertionError(listed)


def stop_half_way(page: Page) -> None:
    """Two presses, no typing."""
    page.locator("#bar-stop").click()
    page.locator(".reasons button").first.click()
    expect(page.locator("#rollout .rollout-now")).to_contain_text("중지됨", timeout=ROLLOUT_MS)


def roll_back(page: Page) -> None:
    """See what returns to what, then send it back and watch it arrive."""
    page.locator("#bar-rollback").click()
    for service in ("auth-service", "notification-service"):
        expect(page.locator(".way-back")).to_contain_text(service)
    page.locator("#reason").fill("알림이 준비되지 않음")
    page.locator("form.panel button.button-danger").click()
    expect(page.locator("#rollout .rollout-now")).to_contain_text("롤백됨", timeout=ROLLOUT_MS)


def the_auditor_reads_and_can_press_nothing(portal: RealPortal, number: int, rollout: int) -> None:
    """The record names the person and the reason; the pages offer no act."""
    page = portal.enter(AUDITOR).go("/audit/")
    expect(page.locator("main")).to_contain_text("알림이 준비되지 않음")
    expect(page.locator("main")).to_contain_text("jiho")
    for path in (f"/releases/{number}/", f"/releases/{number}/review/", f"/rollouts/{rollout}/"):
        portal.enter(AUDITOR).go(path)
        expect(page.locator("h1")).to_be_visible()
        assert page.locator("main form, .actionbar form, .actionbar .button-danger").count() == 0, path


def approved_digests(portal: RealPortal, number: int) -> dict[str, str]:
    """Service to digest, as the approvals sealed them."""
    release = portal.ask(MANAGER, "GET", f"/releases/{number}")
    return {item["service"]: item["image"].partition("@")[2] for item in release["items"]}


def running_digests(portal: RealPortal, services: dict[str, str]) -> dict[str, str]:
    """Service to the digest its Deployment asks for, from kubectl."""
    found: Json = json.loads(portal.kubectl("get", "deployments", *services, "-o", "json"))
    return {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]["image"].partition("@")[2]
        for item in found["items"]
    }
