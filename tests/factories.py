"""A small shop and releases of it, brought to where a test needs them by the real operations."""

import copy
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from approvals.models import PolicyVersion, Request
from approvals.operations import publish_policy
from approvals.queries import standing
from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import PermanentError, TemporaryError
from portal.integrations.registry.client import Resolved
from portal.people.models import Team, User
from portal.people.operations import grant_role
from releases import operations
from releases.catalog import rights
from releases.catalog.models import Checklist, Connection, Environment, Plan, Running, Service
from releases.models import Release
from releases.rollouts.findings.differences import differences, mark_of
from releases.rollouts.graph import Node
from releases.rollouts.models import Finding, Rollout
from releases.rollouts.operations import write_steps
from releases.start import require_startable
from tests import snapshot
from tests.people import BY_THE_PORTAL, Cast, acting, make_cast, person

POLICY = Path(__file__).resolve().parents[1] / "deploy" / "examples" / "policy.yaml"
ENGINE = Actor.portal("a rollout")
AFTER_START = {"rolling_out", "awaiting_signoff", "announced"}
RESOLVE = "releases.catalog.versions.resolve"


def digest_for(service: str, version: str) -> str:
    """The digest that the fake registry gives a version."""
    return f"sha256:{hashlib.sha256(f'{service}:{version}'.encode()).hexdigest()}"


@dataclass
class FakeRegistry:
    """Answers for every version, until a test moves a tag, removes it or cuts the line."""

    moved: dict[tuple[str, str], str] = field(default_factory=dict)
    gone: set[tuple[str, str]] = field(default_factory=set)
    authors: str = ""
    is_reachable: bool = True

    def resolve(self, service: Service, version: str) -> Resolved:
        """What releases.catalog.versions.resolve does."""
        if not self.is_reachable:
            raise TemporaryError("The registry does not answer.")
        if (service.name, version) in self.gone:
            raise PermanentError("There is no such version.", code="image_not_found")
        digest = self.moved.get((service.name, version)) or digest_for(service.name, version)
        return Resolved(digest=digest, accepted=frozenset({digest}), version=version, authors=self.authors)

    def move(self, service: str, version: str) -> str:
        """Let the tag name another image from now on; returns its digest."""
        self.moved[service, version] = digest_for(service, f"{version} rebuilt")
        return self.moved[service, version]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    """The registry of a test."""
    fake = FakeRegistry()
    monkeypatch.setattr(RESOLVE, fake.resolve)
    return fake


@dataclass(frozen=True)
class Shop:
    """Two teams, three services, one environment with its plan, the policy, and the cast.

    shopping-service (commerce) is an ordinary service; payment-service (commerce) and auth-service
    (identity) are core.
    """

    cast: Cast
    environment: Environment
    plan: Plan
    shopping: Service
    payment: Service
    auth: Service
    policy: PolicyVersion
    identity_lead: User

    def data(self, **changes: Any) -> dict[str, Any]:
        """What composing an ordinary release of shopping-service sends, grade B."""
        return {
            "title": "Shopping 2.8.0",
            "environment": self.environment.name,
            "items": [{"service": "shopping-service", "version": "2.8.0"}],
            "changes": [{"area": "API", "text": "주문 취소 사유 추가", "link": None}],
            "facts": {},
            **changes,
        }


def make_shop() -> Shop:
    """Make the catalog with models and the policy by its operation; the author may compose every service."""
    return snapshot.repeat("shop", _make_shop)


def _make_shop() -> Shop:
    cast = make_cast()
    commerce, identity = (Team.objects.create(key=key, title=key.title()) for key in ("commerce", "identity"))
    cluster = Connection.objects.create(name="shop-cluster", kind="kubernetes", spec={})
    environment = Environment.objects.create(
        name="shop-production",
        system="shop",
        stage="production",
        cluster=cluster,
        cluster_group="production",
        namespace="shop",
    )
    plan = Plan.objects.create(name="shop-plan", spec={"waves": []})
    plan.environments.add(environment)
    shopping = make_service("shopping-service", commerce, environment, safe_keys=["banner"])
    payment = make_service("payment-service", commerce, environment, core=True)
    auth = make_service("auth-service", identity, environment, core=True)
    rights.grant()
    grant_role(cast.author.username, role="release_manager", scope="team:identity", actor=BY_THE_PORTAL)
    return Shop(
        cast=cast,
        environment=environment,
        plan=plan,
        shopping=shopping,
        payment=payment,
        auth=auth,
        policy=publish_policy(policy_table(), actor=BY_THE_PORTAL),
        identity_lead=person("identity-lead", ("team_lead", "team:identity")),
    )


@pytest.fixture
def shop(db: None, registry: FakeRegistry) -> Shop:
    """The shop with its cast and a registry that answers."""
    return make_shop()


def make_service(
    name: str, team: Team, environment: Environment, *, core: bool = False, safe_keys: list[str] | None = None
) -> Service:
    """A service with one workload of its own name."""
    service = Service.objects.create(
        name=name,
        team=team,
        system=environment.system,
        core=core,
        image=f"registry.practice/{environment.system}/{name}",
        spec={
            "workloads": [{"kind": "Deployment", "name": name, "containers": ["app"]}],
            "safeKeys": safe_keys or [],
        },
    )
    service.environments.add(environment)
    return service


def policy_table(**changes: Mapping[str, Any]) -> dict[str, Any]:
    """The example's table; `A={"checklist": "x"}` changes single keys of a grade."""
    return {grade: {**rules, **changes.get(grade, {})} for grade, rules in copy.deepcopy(_grades()).items()}


@cache
def _grades() -> dict[str, dict[str, Any]]:
    documents = list(yaml.safe_load_all(POLICY.read_text()))
    grades: dict[str, dict[str, Any]] = next(entry for entry in documents if entry["kind"] == "Policy")[
        "spec"
    ]["grades"]
    return grades


def make_checklist(*items: Mapping[str, Any], name: str = "shop-checks") -> Checklist:
    """A template for every release of the shop's environment."""
    spec = {"environments": ["shop-production"], "items": [dict(item) for item in items]}
    return Checklist.objects.create(name=name, spec=spec)


def make_environment(shop: Shop, name: str, **fields: Any) -> Environment:
    """One more environment on the shop's cluster: of the shop, in a namespace of its name, by default."""
    usual = {"system": "shop", "namespace": name, "cluster": shop.environment.cluster}
    return Environment.objects.create(name=name, **{**usual, **fields})


def runs(service: Service, environment: Environment, version: str) -> Running:
    """Note that this version was seen to run."""
    digest = digest_for(service.name, version)
    seen = {"version": version, "images": {"app": f"{service.image}@{digest}"}, "digests": [digest]}
    row, _made = Running.objects.update_or_create(
        service=service, environment=environment, defaults={"seen": seen, "seen_at": clock.now()}
    )
    return row


def find_change(service: Service, environment: Environment) -> Finding:
    """Note that another image runs than what was seen before, as the watcher does."""
    images = {
        version: f"{service.image}@{digest_for(service.name, version)}" for version in ("2.7.4", "2.8.0")
    }
    name = f"Deployment/{service.name}"

    def facts(version: str) -> dict[str, Any]:
        digests = [digest_for(service.name, version)]
        image = {"app": images[version]}
        workload = {"uid": "u", "replicas": 1, "images": image, "digests": digests, "autoscaler": None}
        return {"images": image, "digests": digests, "selectors": {}, "workloads": {name: workload}}

    place: dict[str, Any] = {"service": service, "environment": environment}
    values = {"seen": facts("2.8.0"), "expected": facts("2.7.4"), "seen_at": clock.now()}
    row, _made = Running.objects.update_or_create(**place, defaults=values)
    found = differences(row.expected, row.seen)
    now = clock.now()
    return Finding.objects.create(
        **place,
        differences=[{**each.as_json, "manager": "kubectl-set"} for each in found],
        mark=mark_of(found),
        opened_at=now,
        changed_at=now,
    )


def make_release(shop: Shop, *, at: str = "draft", author: User | None = None, **changes: Any) -> Release:
    """Walk a release to a state through the operations.

    Args:
        at: draft, in_review, approved, rolling_out, awaiting_signoff or announced.
        changes: what to compose differently from `Shop.data`.
    """
    actor = acting(author or shop.cast.author)
    with _some_registry():
        release = operations.create_release(shop.data(**changes), actor=actor)
        if at == "draft":
            return release
        release = operations.submit_release(release.number, actor=actor)
    if at != "in_review":
        approve_all(release)
    if at in AFTER_START:
        roll_out(release, shop)
    if at in {"awaiting_signoff", "announced"}:
        verify(release)
    if at == "announced":
        sign_off(release)
        operations.announce_release(release.number, actor=actor)
    release = Release.objects.get(pk=release.pk)
    assert release.state == at, release.state
    return release


def roll_out(release: Release, shop: Shop) -> Rollout:
    """Start an approved release as its author does, without the engine's steps."""
    release.refresh_from_db()
    require_startable(release, actor=acting(shop.cast.author))
    rollout = Rollout.objects.create(
        release=release,
        environment=release.environment,
        started_by=shop.cast.author,
        content_digest=release.content_digest,
        queued_at=clock.now(),
    )
    record(
        "rollout.queued",
        actor=acting(shop.cast.author),
        subject=("rollout", str(rollout.pk)),
        release=release.number,
        content_digest=release.content_digest,
    )
    operations.follow(release, "rolling_out", actor=ENGINE)
    return rollout


def verify(release: Release) -> Release:
    """End the rollout well, as the engine does."""
    operations.follow(release, "verifying", actor=ENGINE)
    Rollout.objects.filter(release=release).update(state="succeeded")
    return operations.finish_verification(release, actor=ENGINE)


def sign_off(release: Release) -> None:
    """Let somebody sign off for every row that is still open."""
    request = Request.objects.get(subject=release.subject, state="approved")
    while rows := standing(request).open("signoff"):
        started = set(release.rollouts.values_list("started_by", flat=True))
        signer = next(user for user in rows[0].candidates if user.pk not in started)
        operations.sign_off_result(release.number, actor=acting(signer), verdict="approve")


def approve_all(release: Release) -> None:
    """Let somebody approve for every row that is still open."""
    while True:
        release.refresh_from_db()
        request = release.approval_request
        assert request is not None
        rows = standing(request).open("review")
        if not rows:
            return
        decided = set(request.decisions.filter(revoked_at=None).values_list("person", flat=True))
        decider = next(user for user in rows[0].candidates if user.pk not in decided)
        decide(release, decider)


def decide(release: Release, user: User, verdict: str = "approve", reason: str = "", **more: Any) -> Any:
    """Decide on what the release is now."""
    release.refresh_from_db()
    digest = more.pop("content_digest", release.content_digest)
    return operations.decide_release(
        release.number, actor=acting(user), verdict=verdict, content_digest=digest, reason=reason, **more
    )


def make_rollout(shop: Shop, nodes: list[Node]) -> Rollout:
    """Make a queued rollout of exactly these steps, of a release that nobody approved."""
    now = clock.now()
    release = Release.objects.create(
        title="Made up",
        environment=shop.environment,
        plan=shop.plan,
        state="rolling_out",
        author=shop.cast.author,
        created_at=now,
        changed_at=now,
    )
    rollout = Rollout.objects.create(
        release=release, environment=shop.environment, content_digest="sha256:0", queued_at=now, wake_at=now
    )
    write_steps(rollout, nodes)
    return rollout


@contextmanager
def _some_registry() -> Iterator[None]:
    """Use the test's registry where it has one, else one that answers for everything."""
    from releases.catalog import versions  # noqa: PLC0415  looked up when called: a test may have replaced it

    if versions.resolve.__module__ == versions.__name__:
        with mock.patch(RESOLVE, FakeRegistry().resolve):
            yield
    else:
        yield
