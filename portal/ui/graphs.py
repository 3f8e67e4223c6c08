"""Places the nodes and edges of a wave graph, so that the template only draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from portal.ui.looks import Look, state_look

NODE_WIDTH, NODE_HEIGHT = 176, 52
COLUMN_GAP, NODE_GAP, BAND_GAP = 28, 10, 30
TITLE_HEIGHT = 24
COLUMNS_PER_BAND = 6
NAME_LETTERS = 16


@dataclass(frozen=True, slots=True)
class Node:
    """A member of a wave at its place, in units of the drawing."""

    x: int
    y: int
    name: str
    short: str
    state: str
    look: Look
    note: str

    @property
    def middle(self) -> int:
        """Height at which lines meet the node."""
        return self.y + NODE_HEIGHT // 2


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from one wave to the next; done once everything before it is."""

    path: str
    done: bool


@dataclass(frozen=True, slots=True)
class Column:
    """A wave's title and nodes."""

    x: int
    y: int
    title: str
    nodes: tuple[Node, ...]

    @property
    def done(self) -> bool:
        """Whether every member has ended well."""
        return all(node.look.tone == "ok" for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Graph:
    """A drawing with its size."""

    width: int
    height: int
    columns: tuple[Column, ...]
    edges: tuple[Edge, ...]


def lay_out(waves: Sequence[Mapping[str, Any]]) -> Graph:
    """Place waves from left to right, six to a band, members below each other.

    Each wave is {"title", "members": [{"name", "state", "note"}]}; title and note are optional.
    """
    columns: list[Column] = []
    band_top = 0
    for start in range(0, len(waves), COLUMNS_PER_BAND):
        band = waves[start : start + COLUMNS_PER_BAND]
        columns.extend(_column(wave, place=place, top=band_top) for place, wave in enumerate(band))
        band_top += _band_height(band) + BAND_GAP
    edges = tuple(edge for left, right in pairwise(columns) for edge in _join(left, right))
    width = min(len(waves), COLUMNS_PER_BAND) * (NODE_WIDTH + COLUMN_GAP)
    return Graph(width=width, height=max(0, band_top - BAND_GAP) + 2, columns=tuple(columns), edges=edges)


def _band_height(band: Sequence[Mapping[str, Any]]) -> int:
    tallest = max(len(wave["members"]) for wave in band)
    return TITLE_HEIGHT + tallest * (NODE_HEIGHT + NODE_GAP)


def _column(wave: Mapping[str, Any], *, place: int, top: int) -> Column:
    x = place * (NODE_WIDTH + COLUMN_GAP) + COLUMN_GAP // 2
    first = top + TITLE_HEIGHT
    nodes = tuple(
        _node(member, x=x, y=first + row * (NODE_HEIGHT + NODE_GAP))
        for row, member in enumerate(wave["members"])
    )
    return Column(x=x, y=top, title=str(wave.get("title", "")), nodes=nodes)


def _node(member: Mapping[str, Any], *, x: int, y: int) -> Node:
    name, state = str(member["name"]), str(member["state"])
    short = name if len(name) <= NAME_LETTERS else f"{name[:8]}…{name[-6:]}"
    return Node(
        x=x,
        y=y,
        name=name,
        short=short,
        state=state,
        look=state_look(state),
        note=str(member.get("note", "")),
    )


def _join(left: Column, right: Column) -> list[Edge]:
    """Connect two waves through one upright line, or around the edge to the next band."""
    if not left.nodes or not right.nodes:
        return []
    if right.x <= left.x:
        return [Edge(path=_wrap(left, right), done=left.done)]
    bus = right.x - COLUMN_GAP // 2
    heights = [node.middle for node in (*left.nodes, *right.nodes)]
    stubs = [f"M{node.x + NODE_WIDTH} {node.middle}H{bus}" for node in left.nodes]
    heads = [f"M{bus} {node.middle}H{node.x}" for node in right.nodes]
    trunk = [f"M{bus} {min(heights)}V{max(heights)}"] if min(heights) != max(heights) else []
    return [Edge(path="".join([*stubs, *trunk, *heads]), done=left.done)]


def _wrap(left: Column, right: Column) -> str:
    start, end = left.nodes[0], right.nodes[0]
    out = start.x + NODE_WIDTH + COLUMN_GAP // 2
    between = right.y - BAND_GAP // 2
    back = end.x - COLUMN_GAP // 2
    return f"M{start.x + NODE_WIDTH} {start.middle}H{out - 1}V{between}H{back + 1}V{end.middle}H{end.x}"
