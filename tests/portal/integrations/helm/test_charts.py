"""Charts come from the one allowed folder, whole and unchanged, and from nowhere else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from portal.errors import PermanentError
from portal.integrations.helm import charts
from portal.integrations.helm.charts import read_chart
from tests.charts import write_chart


def refused(root: Path | str, name: str) -> str:
    with pytest.raises(PermanentError) as found:
        read_chart(str(root), name)
    assert found.value.code == "chart_refused"
    return str(found.value.detail)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of charts, and a chart beside it that nobody allowed."""
    write_chart(tmp_path / "allowed")
    write_chart(tmp_path)
    return tmp_path / "allowed"


def test_a_chart_is_its_files_and_any_change_is_another_digest(root: Path) -> None:
    chart = read_chart(str(root), "api")
    assert sorted(chart.files) == ["Chart.yaml", "templates/deployment.yaml"]
    assert read_chart(str(root), "api") == chart
    (root / "api" / "templates" / "deployment.yaml").rename(root / "api" / "templates" / "other.yaml")
    assert read_chart(str(root), "api").digest != chart.digest


@pytest.mark.parametrize(
    "name",
    ["../api", "/etc", "api/../../api", "..", "", "api/", "./api", "api\n", "https://x.example/api", "a\\b"],
)
def test_no_name_leads_out_of_the_folder(root: Path, name: str) -> None:
    assert "below the allowed one" in refused(root, name)


def test_without_an_allowed_folder_there_is_no_chart() -> None:
    assert "HELM_CHARTS" in refused("", "api")


def _link_to_folder(root: Path) -> None:
    (root / "api" / "more").symlink_to(root.parent / "api")


def _link_to_file(root: Path) -> None:
    (root / "api" / "values.yaml").symlink_to("/etc/hostname")


def _packed(root: Path) -> None:
    (root / "api" / "charts").mkdir()
    (root / "api" / "charts" / "redis.tgz").write_bytes(b"")


def _nameless(root: Path) -> None:
    (root / "api" / "Chart.yaml").unlink()


def _large(root: Path) -> None:
    (root / "api" / "large").write_bytes(b" " * (charts.MOST_BYTES + 1))


def _many(root: Path) -> None:
    for number in range(charts.MOST_FILES):
        (root / "api" / "templates" / f"{number}.yaml").write_text("")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_link_to_folder, "is a link"),
        (_link_to_file, "is a link"),
        (_packed, "is packed; unpack it"),
        (_nameless, "no Chart.yaml"),
        (_large, "too large"),
        (_many, "too large"),
    ],
)
def test_what_leads_out_or_hides_or_never_ends_is_refused(
    root: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(root)
    assert words in refused(root, "api")


def test_a_link_in_the_place_of_the_chart_is_refused(root: Path) -> None:
    (root / "linked").symlink_to(root.parent / "api")
    assert "a link to one" in refused(root, "linked")
