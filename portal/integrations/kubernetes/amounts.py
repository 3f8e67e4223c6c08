"""Kubernetes' way of writing amounts (its "Quantity" type)."""

from decimal import Decimal


def millicores(amount: object) -> int:
    """Return an amount of CPU such as "250m" or "1.5" in thousandths of a core, rounded to the nearest."""
    return round(quantity(amount) * 1000)


def quantity(amount: object) -> Decimal:
    """Return an amount such as "250m", "1.5" or "512Mi" as a number.

    Raises:
        ValueError: it is not written as Kubernetes writes amounts.
    """
    from kubernetes.utils import parse_quantity  # noqa: PLC0415  roles that ask no cluster load no client

    number: Decimal = parse_quantity(str(amount))
    if not number.is_finite():
        raise ValueError(amount)
    return number
