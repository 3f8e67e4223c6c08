"""Places the bars and cells of charts, so that templates only draw; a table has every number as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portal.ui.times import weekdays

CHART_WIDTH, BAR_SPACE = 720, 120
TOP, FOOT = 18, 20
MOST_LABELS = 14
WIDEST_BAR = 40
CELL_WIDTH, CELL_HEIGHT = 28, 24
GRID_LEFT, GRID_TOP = 36, 20
HOURS, DAYS = 24, 7
LEVELS = 3
SPARK_WIDTH, SPARK_HEIGHT, SPARK_EDGE = 160, 40, 4


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A value over a label; `part` of it is drawn as bad, `text` above it, `title` said of it."""

    label: str
    value: float
    part: float = 0
    text: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedBar:
    """A bar at its place, in units of the drawing; its label is "" where there is no room for all."""

    bar: Bar
    x: float
    width: float
    y: float
    height: float
    part_y: float
    part_height: float
    label: str
    middle: float


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars and the size of their drawing."""

    bars: tuple[PlacedBar, ...]
    width: int = CHART_WIDTH
    height: int = TOP + BAR_SPACE + FOOT
    ground: int = TOP + BAR_SPACE


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of the week: how much, and how dark from 0 to 3."""

    x: int
    y: int
    value: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class HourGrid:
    """The hours of a week as seven rows."""

    cells: tuple[Cell, ...]
    rows: tuple[tuple[int, str], ...]
    columns: tuple[tuple[int, int], ...]
    width: int = GRID_LEFT + HOURS * CELL_WIDTH
    height: int = GRID_TOP + DAYS * CELL_HEIGHT


def lay_bars(bars: Sequence[Bar]) -> BarChart:
    """Place bars side by side; the highest fills the drawing."""
    highest = max((bar.value for bar in bars), default=0) or 1
    room = CHART_WIDTH / max(1, len(bars))
    every = -(-len(bars) // MOST_LABELS)
    placed = (
        _place(bar, left=room * place, room=room, scale=BAR_SPACE / highest, is_labelled=place % every == 0)
        for place, bar in enumerate(bars)
    )
    return BarChart(tuple(placed))


def lay_hours(values: Mapping[int, int]) -> HourGrid:
    """Place the hours of a week; keys count from Monday 00:00."""
    highest = max(values.values(), default=0)
    names = weekdays()
    cells = (
        _cell(day, hour, values.get(day * HOURS + hour, 0), highest=highest, name=names[day])
        for day in range(DAYS)
        for hour in range(HOURS)
    )
    rows = tuple((GRID_TOP + day * CELL_HEIGHT + CELL_HEIGHT // 2, names[day]) for day in range(DAYS))
    columns = tuple((GRID_LEFT + hour * CELL_WIDTH + CELL_WIDTH // 2, hour) for hour in range(0, HOURS, 3))
    return HourGrid(tuple(cells), rows, columns)


def _place(bar: Bar, *, left: float, room: float, scale: float, is_labelled: bool) -> PlacedBar:
    width = min(room * 0.8, WIDEST_BAR)
    height, part = bar.value * scale, bar.part * scale
    ground = TOP + BAR_SPACE
    return PlacedBar(
        bar=bar,
        x=round(left + (room - width) / 2, 1),
        width=round(width, 1),
        y=round(ground - height, 1),
        height=round(height, 1),
        part_y=round(ground - part, 1),
        part_height=round(part, 1),
        label=bar.label if is_labelled else "",
        middle=round(left + room / 2, 1),
    )


def _cell(day: int, hour: int, value: int, *, highest: int, name: str) -> Cell:
    level = -(-LEVELS * value // highest) if highest else 0
    x, y = GRID_LEFT + hour * CELL_WIDTH, GRID_TOP + day * CELL_HEIGHT
    return Cell(x, y, value, level, f"{name} {hour:02}:00, {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A measurement at its place; `tone` is "good", "bad" or "wait"."""

    x: float
    y: float
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """Measurements in the order of time, and the lines they may not cross."""

    dots: tuple[Dot, ...]
    limits: tuple[float, ...]
    width: int = SPARK_WIDTH
    height: int = SPARK_HEIGHT

    @property
    def path(self) -> str:
        """The line through all of them."""
        return " ".join(f"{dot.x},{dot.y}" for dot in self.dots)


def lay_spark(points: Sequence[tuple[float | None, str]], limits: Sequence[float]) -> Spark:
    """Place measurements side by side, so that they and their limits fill the height.

    Args:
        points: value and tone; one without a value lies on the ground.
    """
    known = [value for value, _tone in points if value is not None]
    low, high = min([*known, *limits], default=0), max([*known, *limits], default=0)
    room = SPARK_HEIGHT - 2 * SPARK_EDGE

    def height_of(value: float | None) -> float:
        share = 0 if value is None or high == low else (value - low) / (high - low)
        return round(SPARK_HEIGHT - SPARK_EDGE - share * room, 1)

    step = (SPARK_WIDTH - 2 * SPARK_EDGE) / max(1, len(points) - 1)
    dots = (
        Dot(x=round(SPARK_EDGE + number * step, 1), y=height_of(value), tone=tone)
        for number, (value, tone) in enumerate(points)
    )
    return Spark(dots=tuple(dots), limits=tuple(height_of(limit) for limit in limits))
