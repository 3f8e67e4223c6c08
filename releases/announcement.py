"""The announcement of a release in the fixed shape people post (reference system 4).

The text is Korean content of the product, not a label of the interface; it is therefore not translated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import translation

from releases import operating, proposal
from releases.models import Release

RISK_WORDS = {"A": "매우 낮음", "B": "낮음", "C": "중간", "D": "높음", "E": "특수"}


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
    versions = ", ".join(f"{service}({version})" for service, version in announcement.versions)
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
    """The wording the author gave, or the generated text."""
    return release.announcement or write(
        Announcement(
            system=release.environment.system,
            versions=[(item.service.name, item.version) for item in release.items.select_related("service")],
            grade=release.grade,
            has_database_change="database_change" in proposal.facts_of(release),
            changes=[(change.area, change.text) for change in release.changes.all()],
            operation=_operation(release),
        )
    )


def _operation(release: Release) -> str:
    with translation.override("ko"):
        return operating.sentence(release.operation) if release.operation else ""
