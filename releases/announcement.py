"""The announcement of a release in the fixed shape people post (reference system 4).

The text is Korean content of the product, not a label of the interface; it is therefore not translated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils import translation

from releases import operating, proposal
from releases.items import changes_of, items_of
from releases.models import Item, Release
from releases.states import ReleaseState

S = ReleaseState
# Only then is it known what went out.
CARRIED_OUT = frozenset({S.AWAITING_SIGNOFF, S.SWITCHING, S.ANNOUNCED, S.REVIEW_OWED, S.CLOSED})
RISK_WORDS = {"A": "매우 낮음", "B": "낮음", "C": "중간", "D": "높음", "E": "특수"}


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A service that was skipped, and what runs of it instead.

    Attributes:
        whole: whether nothing of the release runs there; else both do.
        images: what was recorded before the rollout, by name; digests: the same by digest.
    """

    whole: bool
    images: Sequence[str]
    digests: frozenset[str]


# By the keys of services. Filled by the layer that carries out; releases cannot import it.
SKIPPED: list[Callable[[Release], Mapping[int, LeftOut]]] = []


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """What the text is made from.

    Attributes:
        versions: (service, version) in the order of the release.
        changes: (area, text) in the order of the release.
        operation: what is done where no version goes out.
    """

    system: str
    versions: Sequence[tuple[str, str]]
    grade: str
    has_database_change: bool
    changes: Sequence[tuple[str, str]]
    operation: str = ""


def write(announcement: Announcement) -> str:
    """Return the text, one line for each part and one for each change."""
    versions = ", ".join(f"{service}({version})" for service, version in announcement.versions) or "없음"
    lines = [
        f"[{announcement.system}] {'작업' if announcement.operation else '배포'}합니다.",
        *([f"- 작업: {announcement.operation}"] if announcement.operation else []),
        f"- {'실행 중인 버전' if announcement.operation else '배포버전'}: {versions}",
        f"- 배포등급: {announcement.grade}({RISK_WORDS.get(announcement.grade, '미정')})",
        f"- DB 업데이트 여부: {'Y' if announcement.has_database_change else 'N'}",
        "- 배포내역",
        *(f"\t- [{area}] {text}" for area, text in announcement.changes),
    ]
    return "\n".join(lines)


def announcement_of(release: Release) -> str:
    """The wording the author gave, or the generated text; both say which services were skipped."""
    items = items_of(release)
    left = _left_out(release)
    gone = {key for key, each in left.items() if each.whole}
    text = release.announcement or write(
        Announcement(
            system=release.environment.system,
            versions=[(each.service.name, each.version) for each in items if each.service_id not in gone],
            grade=release.grade,
            has_database_change="database_change" in proposal.facts_in(release, items),
            changes=[(change.area, change.text) for change in changes_of(release)],
            operation=_operation(release),
        )
    )
    return "\n".join(
        [text, *(_skipped(each, left[each.service_id]) for each in items if each.service_id in left)]
    )


def _left_out(release: Release) -> dict[int, LeftOut]:
    if release.state not in CARRIED_OUT:
        return {}
    return {key: each for find in SKIPPED for key, each in find(release).items()}


def _skipped(item: Item, left: LeftOut) -> str:
    """What runs of a service; by its version where that is what was recorded."""
    is_known = not left.digests.isdisjoint(item.running.get("digests") or [])
    before = (item.running.get("version") if is_known else "") or ", ".join(left.images) or "?"
    if left.whole:
        return f"- 제외: {item.service.name}({item.version} 건너뜀, {before} 실행 중)"
    return f"- 일부만 배포: {item.service.name}({item.version}, {before} 함께 실행 중)"


def _operation(release: Release) -> str:
    with translation.override("ko"):
        return operating.sentence(release.operation) if release.operation else ""
