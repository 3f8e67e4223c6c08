"""Amounts of resources stand with their unit, also where Kubernetes lets it be left out."""

import pytest
from django.utils import translation

from releases import operating
from releases.catalog import units


@pytest.mark.parametrize(
    ("name", "amount", "said"),
    [
        ("cpu", "250m", "250m"),
        ("cpu", "0.5", "500m"),
        ("cpu", "1", "1 core"),
        ("cpu", "2", "2 cores"),
        ("memory", "134217728", "128 MiB"),
        ("memory", "512Mi", "512 MiB"),
        ("ephemeral-storage", "2Gi", "2 GiB"),
        ("nvidia.com/gpu", "1", "1"),
        ("memory", "much", "much"),
    ],
)
@translation.override("en")
def test_an_amount_of_a_resource_has_its_unit(name: str, amount: str, said: str) -> None:
    assert units.resource(name, amount) == said


@translation.override("en")
def test_an_operation_says_its_resources_with_their_units() -> None:
    asked = {"kind": "set_resources", "service": "web", "requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}
    assert operating.sentence(asked) == "Other resources for web: requests cpu 2 cores, limits memory 1 GiB"
