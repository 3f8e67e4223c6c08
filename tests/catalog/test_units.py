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
        # Somebody approves exactly this.
        ("memory", "2000Mi", "2000 MiB"),
        ("memory", "1048Mi", "1048 MiB"),
        ("memory", "1536Mi", "1.5 GiB"),
        ("memory", "500M", "500M"),
        ("memory", "500000001", "500000001 B"),
        ("cpu", "12345m", "12.345 cores"),
        ("cpu", "0.0125", "12.5m"),
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


@pytest.mark.parametrize(
    ("value", "unit", "exact", "said"),
    [
        (0.99999, "ratio", True, "99.999 %"),
        (0.99999, "ratio", False, "100 %"),
        (0.99999, "", True, "0.99999"),
        (12_345.5, "", True, "12345.5"),
        (0.2501, "seconds", True, "250.1 ms"),
        (1_500_000.0, "bytes", False, "1.4 MiB"),
        (1_500_000.0, "bytes", True, "1500000 B"),
    ],
)
@translation.override("en")
def test_a_limit_has_all_its_digits(value: float, unit: str, exact: bool, said: str) -> None:
    assert units.written(value, unit, exact=exact) == said
