"""A restart of grade E, whole and through the pages: asked, carried out, reviewed, recorded."""

from django.http import HttpResponse
from django.test import Client

from approvals.operations import publish_policy
from portal.audit.chain import check_chain
from portal.audit.models import AuditEntry
from portal.people.models import User
from releases.incidents.models import Incident
from releases.incidents.queries import link_of
from releases.models import Release
from releases.rollouts.models import Rollout
from tests.cluster.engine.conftest import Lay
from tests.cluster.engine.test_operations import ENDS, watch
from tests.factories import policy_table
from tests.people import BY_THE_PORTAL
from tests.portal.api import ApiClient
from tests.rollouts.floor import Floor, digest_for, drive, pinned, why
from tests.soak import long

HERE = "api/floor-production/"
# What the record has to tell of it, in this order.
TOLD = (
    "release.created",
    "release.submitted",
    "release.rolling_out",
    "release.verifying",
    "release.review_owed",
    "rollout.succeeded",
    "decision.approve",
    "decision.approve",
    "release.closed",
)


class Doors:
    """The pages, as each of the people presses on them."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor

    def press(self, user: User, address: str, **typed: str) -> HttpResponse:
        """Send a form of a page."""
        client = Client()
        client.force_login(user)
        answer: HttpResponse = client.post(address, typed)  # type: ignore[assignment]
        return answer

    def go(self, user: User, address: str, **typed: str) -> None:
        """Send a form that is taken."""
        answer = self.press(user, address, **typed)
        assert answer.status_code == 302, (address, answer.status_code, answer.content.decode()[-2000:])

    def incident(self) -> Incident:
        """Open an incident of the service."""
        self.go(self.floor.shop.cast.author, f"/incidents/open/{HERE}")
        return Incident.objects.get()

    def ask(self, incident: Incident) -> Release:
        """Ask for the restart that the incident leads to, choose E for it, and submit it."""
        author = self.floor.shop.cast.author
        named = {"incident_link": link_of(incident), "incident_reason": "Payments fail."}
        self.go(author, f"/services/{HERE}operate/restart/", once="ask", **named)
        release = Release.objects.get()
        page = f"/releases/{release.number}/"
        chosen = {"grade": "E", "grade_reason": "", "incident_open": link_of(incident)}
        self.go(author, f"{page}edit/grade/", content_digest=release.content_digest, **chosen)
        release.refresh_from_db()
        self.go(author, f"{page}submit/", content_digest=release.content_digest)
        release.refresh_from_db()
        return release

    def decide(self, user: User, release: Release) -> int:
        """Approve, and return the answer's status."""
        typed = {"content_digest": release.content_digest, "reason": ""}
        return self.press(user, f"/releases/{release.number}/decide/approve/", **typed).status_code


def pods_of(floor: Floor) -> set[str]:
    """The pods that run, by what tells them apart."""
    return {pod["metadata"]["uid"] for pod in floor.space.pods("api")}


def acts_of(release: Release) -> list[str]:
    """What the record says of the release and its rollout, in order."""
    found = AuditEntry.objects.filter(release=release.number).order_by("id")
    return list(found.values_list("action", flat=True))


def policy_of_two() -> None:
    """Let grade E owe two reviews: the team's lead and a director."""
    owed = [
        {"role": "team_lead", "scope": "team", "count": 1},
        {"role": "director", "scope": "*", "count": 1},
    ]
    publish_policy(policy_table(E={"owed": owed}), actor=BY_THE_PORTAL)


@long
def test_a_restart_of_grade_e_goes_its_whole_way(lay_floor: Lay) -> None:
    floor = lay_floor(objects=pinned())
    policy_of_two()
    watch(floor)
    doors, cast, before = Doors(floor), floor.shop.cast, pods_of(floor)
    incident = doors.incident()
    release = doors.ask(incident)
    assert (release.grade, release.operation["kind"], release.state) == ("E", "restart", "submitted")

    doors.go(cast.author, f"/releases/{release.number}/start/", once="start")
    rollout = drive(Rollout.objects.get(), *ENDS, seconds=60)
    assert rollout.state == "succeeded", why(rollout)
    assert before.isdisjoint(pods_of(floor)), "pods that ran are there still"
    assert floor.image("api").endswith(digest_for("api", "1.0.0")), "the version stays"

    release.refresh_from_db()
    assert release.state == "review_owed"
    refused = {who: doors.decide(getattr(cast, who), release) for who in ("author", "pl", "outsider")}
    assert refused == dict.fromkeys(refused, 403)
    for who, state in (("team_lead", "review_owed"), ("director", "closed")):
        assert doors.decide(getattr(cast, who), release) == 302
        release.refresh_from_db()
        assert release.state == state, who
    doors.go(cast.author, f"/incidents/{incident.number}/close/", cause="A stuck pool.", once="close")

    acts = [act for act in acts_of(release) if act in TOLD]
    assert acts == list(TOLD)
    assert check_chain().fault is None
    api = ApiClient(cast.auditor)
    proof = api.get(f"/releases/{release.number}/proof").json()
    assert {each["person"] for each in proof["decisions"]} == {"lead", "director"}
    told = api.get(f"/incidents/{incident.number}").json()
    assert (told["state"], told["releases"]) == ("closed", [release.number])
    assert [each["what"] for each in told["timeline"]] == [
        "closed",
        "ended",
        "started",
        "drafted",
        "opened",
        "began",
    ]
