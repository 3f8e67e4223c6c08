"""Measured values and amounts of resources as people read them: with the unit that their source states."""

from typing import Final

from django.utils.translation import ngettext, pgettext

from portal.integrations.kubernetes.amounts import quantity

# Of a measured value; one as large is told whole.
DIGITS, LARGE = 4, 1_000
BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB")
BYTES: Final = ("memory", "storage")


def number(value: float) -> str:
    """Write a measured value with as many digits as people compare."""
    return f"{value:.0f}" if abs(value) >= LARGE else f"{value:.{DIGITS}g}"


def written(value: float, unit: str = "") -> str:
    """Write a value with its unit.

    Args:
        value: in what the unit names, such as 0.25 for 250 ms.
        unit: `ratio`, `seconds`, `bytes`, `cores` or `perSecond`; "" where none is known.
    """
    if unit == "ratio":
        return pgettext("amount", "{number} %").format(number=number(value * 100))
    if unit == "seconds":
        return _seconds(value)
    if unit == "bytes":
        return _bytes(value)
    if unit == "cores":
        return _cores(value)
    return f"{number(value)}/s" if unit == "perSecond" else number(value)


def resource(name: str, amount: object) -> str:
    """Write what a container asks for or may use, given as Kubernetes writes it; a count stays as it is."""
    try:
        if name == "cpu":
            return _cores(float(quantity(amount)))
        return _bytes(float(quantity(amount))) if name.endswith(BYTES) else str(amount)
    except ValueError:
        return str(amount)


def _seconds(value: float) -> str:
    if abs(value) < 1:
        return pgettext("amount", "{number} ms").format(number=number(value * 1000))
    return pgettext("amount", "{number} s").format(number=number(value))


def _bytes(value: float) -> str:
    unit, *larger = BINARY
    for each in larger:
        if abs(value) < 1024:
            break
        value, unit = value / 1024, each
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def _cores(value: float) -> str:
    """Below one in thousandths, as Kubernetes writes them."""
    if abs(value) < 1:
        return f"{number(value * 1000)}m"
    return ngettext("{number} core", "{number} cores", 1 if value == 1 else 2).format(number=number(value))
