"""The only writes to the calendar: freezes, stops, windows, and who went past them."""

from approvals.calendar.operations.freezes import (
    add_freeze,
    change_freeze,
    lift_freeze,
    note_passage,
    stop_line,
)
from approvals.calendar.operations.windows import add_window, change_window, end_window

__all__ = [
    "add_freeze",
    "add_window",
    "change_freeze",
    "change_window",
    "end_window",
    "lift_freeze",
    "note_passage",
    "stop_line",
]
