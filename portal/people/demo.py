"""The people of the five reference systems, with sign-in links and tokens that survive a restart."""

from collections import defaultdict
from typing import Any, NamedTuple

from django.db import transaction

from portal.actors import Actor
from portal.audit.record import record
from portal.people import queries, tokens
from portal.people.links import sign_in_path
from portal.people.models import AccessToken, Role, RoleAssignment, User
from portal.people.operations import create_person, grant_role

TOKEN_NAME = "demo"  # noqa: S105  the name of a token, not a secret


class DemoPerson(NamedTuple):
    """A person of the demo; `team` is where they sit, whatever roles they hold."""

    username: str
    name: str
    team: str
    roles: tuple[tuple[str, str], ...]


def _managers(team: str, *people: tuple[str, str], also: tuple[str, ...] = ()) -> list[DemoPerson]:
    """Release managers of a team; `also` names the other teams of the system they release for."""
    roles = tuple((str(Role.RELEASE_MANAGER), f"team:{each}") for each in (team, *also))
    return [DemoPerson(username, name, team, roles) for username, name in people]


def _lead(username: str, name: str, team: str) -> DemoPerson:
    return DemoPerson(username, name, team, ((str(Role.TEAM_LEAD), f"team:{team}"),))


def _pl(username: str, name: str, team: str, *services: str) -> DemoPerson:
    roles = tuple((str(Role.PL), f"service:{service}") for service in services)
    return DemoPerson(username, name, team, roles)


def _holder(username: str, name: str, role: str, scope: str = "*") -> DemoPerson:
    return DemoPerson(username, name, "", ((str(role), scope),))


PORTAL_UNIVERSE = [
    *_managers("commerce", ("minji", "김민지"), ("doyun", "이도윤")),
    *_managers("content", ("seoyeon", "박서연"), ("hajun", "최하준")),
    *_managers("platform", ("jiho", "정지호"), ("yuna", "강유나"), also=("commerce", "content", "frontend")),
    *_managers("frontend", ("eunwoo", "조은우"), ("sua", "윤수아")),
    _lead("taeyang", "장태양", "commerce"),
    _lead("hyejin", "임혜진", "content"),
    _lead("sungmin", "한성민", "platform"),
    _lead("narae", "오나래", "frontend"),
    _pl("junseo", "서준서", "commerce", "shopping-service"),
    _pl("dain", "신다인", "commerce", "notification-service"),
    _pl("chaewon", "권채원", "content", "blog-service"),
    _pl("minjae", "황민재", "platform", "config-service", "api-gateway"),
    _pl("siwoo", "안시우", "platform", "auth-service"),
    _pl("bora", "송보라", "frontend", "design-system", "portal-shell"),
    _pl("jaewon", "전재원", "frontend", "blog-frontend", "shopping-frontend"),
]
OTHER_SYSTEMS = [
    *_managers("runbook", ("gaeun", "홍가은"), ("woojin", "유우진")),
    _lead("kyungsoo", "고경수", "runbook"),
    _pl("arin", "문아린", "runbook", "runbook-api"),
    *_managers("storebridge", ("seunghyun", "양승현"), ("jimin", "손지민")),
    _lead("eunji", "배은지", "storebridge"),
    _pl("hyunwoo", "조현우", "storebridge", "storebridge-web", "storebridge-web-argo"),
    DemoPerson("storebridge-ci", "스토어브리지 CI", "", ((str(Role.RELEASE_MANAGER), "team:storebridge"),)),
    _pl("soyul", "백소율", "storebridge", "storebridge-worker-normal", "storebridge-worker-batch"),
    *_managers("hybris", ("dohyun", "허도현"), ("yerin", "남예린")),
    _lead("jinho", "심진호", "hybris"),
    _pl("sangwoo", "노상우", "hybris", "hybris"),
    *_managers("cms", ("haeun", "하하은"), ("geonwoo", "곽건우")),
    _lead("mikyung", "성미경", "cms"),
    _pl("soomin", "차수민", "cms", "cms-internal", "cms-public"),
    *_managers("kop-web", ("rian", "주리안"), ("sejin", "우세진"), also=("hybris", "cms")),
    _lead("donghae", "구동해", "kop-web"),
    _pl("yujin", "민유진", "kop-web", "kop-web"),
    *_managers("plate", ("harin", "나하린"), ("taeho", "진태호")),
    _lead("insung", "지인성", "plate"),
    _pl("wonbin", "엄원빈", "plate", "plate-api", "plate-cache"),
    _pl("sohee", "채소희", "plate", "plate-web", "plate-llm"),
]
WHOLE_COMPANY = [
    _holder("jonghyun", "원종현", Role.INFRA_SENIOR, "cluster_group:main"),
    _holder("miran", "천미란", Role.INFRA_SENIOR, "cluster_group:main"),
    _holder("hyunsook", "방현숙", Role.DIRECTOR),
    _holder("chulsoo", "공철수", Role.DIRECTOR),
    _holder("nayoung", "현나영", Role.QA),
    _holder("byungho", "함병호", Role.QA),
    _holder("gamsa", "변정아", Role.AUDITOR),
    _holder("admin", "염관우", Role.ADMINISTRATOR),
    _holder("admin2", "여지훈", Role.ADMINISTRATOR),
    DemoPerson("visitor", "추방문", "", ()),
]
PEOPLE = [*PORTAL_UNIVERSE, *OTHER_SYSTEMS, *WHOLE_COMPANY]


def load_people() -> int:
    """Make the demo people who are missing; say how many.

    Those who exist keep the roles that an administrator gave or took.
    """
    actor = Actor.portal("demo", door="cli")
    known = set(User.objects.values_list("username", flat=True))
    missing = [person for person in PEOPLE if person.username not in known]
    with transaction.atomic():
        for person in missing:
            _make(person, actor=actor)
    for user in User.objects.filter(username__in=[person.username for person in PEOPLE], is_active=True):
        _renew_token(user)
    return len(missing)


def people_report(public_url: str) -> list[dict[str, Any]]:
    """The `people` of var/demo.json (interface.md, "Commands"): secrets among it, never to be logged."""
    active = set(User.objects.filter(is_active=True).values_list("username", flat=True))
    held: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in (
        RoleAssignment.objects.filter(revoked_at=None).select_related("user").order_by("role", "scope")
    ):
        held[row.user.username].append({"role": row.role, "scope": row.scope})
    people = [person for person in PEOPLE if person.username in active]
    return [_entry(person, held[person.username], public_url=public_url) for person in people]


def _make(person: DemoPerson, *, actor: Actor) -> None:
    create_person(person.username, actor=actor, name=person.name, email=f"{person.username}@example.com")
    for role, scope in person.roles:
        grant_role(person.username, role=role, scope=scope, actor=actor)


def _renew_token(user: User) -> None:
    """Keep the token of this SECRET_KEY and no older one; a revoked one stays revoked."""
    secret = tokens.demo_secret(user.username)
    mine = AccessToken.objects.filter(user=user, name=TOKEN_NAME)
    if not mine.filter(prefix=tokens.prefix_of(secret)).exists():
        mine.delete()
        # Uncut: what it reaches follows the roles of the moment.
        with transaction.atomic():
            token = tokens.keep(user, secret=secret, name=TOKEN_NAME, scopes=tokens.SCOPES, expires_at=None)
            actor = Actor.portal("demo", door="cli")
            record("token.created", actor=actor, subject=("token", token.prefix), after={"of": user.username})


def _entry(person: DemoPerson, roles: list[dict[str, str]], *, public_url: str) -> dict[str, Any]:
    teams = {person.team, *queries.teams_in(entry["scope"] for entry in roles)}
    return {
        "username": person.username,
        "name": person.name,
        "roles": roles,
        "teams": sorted(teams - {""}),
        "login_url": public_url + sign_in_path(person.username),
        "token": tokens.demo_secret(person.username),
    }
