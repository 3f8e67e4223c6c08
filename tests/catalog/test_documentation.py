"""The documentation's example is a catalog that loads."""

from collections.abc import Iterator
from pathlib import Path

from releases.catalog.checks import CHECKS
from releases.catalog.documents import read_text
from releases.catalog.operations import check_documents
from releases.catalog.schema import KINDS, published
from releases.catalog.schema.expectations import EXPECTATIONS
from releases.catalog.wording import STEPS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "catalog.md"


def test_the_example_of_the_documentation_is_in_order() -> None:
    example = PAGE.read_text().split("## A system in one file\n```yaml\n")[1].split("```")[0]
    documents, problems = read_text(example, "example.yaml")
    assert problems + check_documents(documents, {}) == []
    assert len(documents) == 6


def test_every_step_is_documented_and_has_a_name() -> None:
    kinds = {
        name.removeprefix("step_") for name in published("common.json")["$defs"] if name.startswith("step_")
    }
    assert kinds == set(STEPS)
    assert all(f"`{kind}`" in PAGE.read_text() for kind in kinds)


def test_every_kind_that_names_others_is_checked_against_them() -> None:
    assert set(CHECKS) == set(KINDS) - {"Connection", "Team"}


def descriptions(part: object) -> Iterator[str]:
    """Every description inside a schema."""
    if isinstance(part, dict):
        if isinstance(part.get("description"), str):
            yield part["description"]
        for value in part.values():
            yield from descriptions(value)
    elif isinstance(part, list):
        for value in part:
            yield from descriptions(value)


def test_every_expectation_of_a_schema_can_be_translated() -> None:
    for name in ("common", *map(str.lower, KINDS)):
        schema = published(f"{name}.json")
        inside = [schema.get("properties", {}), schema.get("$defs", {})]
        assert set(descriptions(inside)) <= set(EXPECTATIONS)
