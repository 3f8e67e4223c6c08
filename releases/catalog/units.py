"""Measured values and amounts of resources as people read them: with the unit that their source states."""

from typing import Final

from django.utils.translation import ngettext, pgettext

from portal.integrations.kubernetes.amounts import quantity

# Of a measured value; one as large is told whole. What people have stated has all its digits.
DIGITS, LARGE, ALL_DIGITS = 4, 1_000, 12
BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB")
BYTES: Final = ("memory", "storage")


def number(value: float, *, exact: bool = False) -> str:
    """Write a value, a measured one with as many digits as people compare."""
    if exact:
        return f"{value:.{ALL_DIGITS}g}"
    return f"{value:.0f}" if abs(value) >= LARGE else f"{value:.{DIGITS}g}"


def written(value: float, unit: str = "", *, exact: bool = False) -> str:
    """Write a value with its unit.

    Args:
        value: in what the unit names, such as 0.25 for 250 ms.
        unit: `ratio`, `seconds`, `bytes`, `cores` or `perSecond`; "" where none is known.
        exact: with all digits, for what people have stated, such as a limit.
    """
    if unit == "ratio":
        return pgettext("amount", "{number} %").format(number=number(value * 100, exact=exact))
    if unit == "seconds":
        return _seconds(value, exact=exact)
    if unit == "bytes":
        return _bytes(value, exact=exact)
    if unit == "cores":
        return _cores(value, exact=exact)
    return number(value, exact=exact) + ("/s" if unit == "perSecond" else "")


def resource(name: str, amount: object) -> str:
    """Write exactly what a container asks for or may use, given as Kubernetes writes it; a count as it is."""
    try:
        if name == "cpu":
            return _cores(float(quantity(amount)), exact=True)
        told = _bytes(float(quantity(amount)), exact=True) if name.endswith(BYTES) else ""
    except ValueError:
        told = ""
    # Bytes by the million are better as they were stated.
    return told if told and (not told.endswith(f" {BINARY[0]}") or str(amount).isdigit()) else str(amount)


def _seconds(value: float, *, exact: bool) -> str:
    if abs(value) < 1:
        return pgettext("amount", "{number} ms").format(number=number(value * 1000, exact=exact))
    return pgettext("amount", "{number} s").format(number=number(value, exact=exact))


def _bytes(value: float, *, exact: bool) -> str:
    """Write it in the largest unit; where it is to be exact, in the largest that takes one decimal for it."""
    amount, unit = value, BINARY[0]
    for power, name in enumerate(BINARY):
        larger = value / 1024**power
        if power and abs(larger) >= 1 and (not exact or (larger * 10).is_integer()):
            amount, unit = larger, name
    return f"{amount:.1f}".removesuffix(".0") + f" {unit}"


def _cores(value: float, *, exact: bool) -> str:
    """Below one in thousandths, as Kubernetes writes them."""
    if abs(value) < 1:
        return f"{number(value * 1000, exact=exact)}m"
    told = number(value, exact=exact)
    return ngettext("{number} core", "{number} cores", 1 if value == 1 else 2).format(number=told)
