"""Outside systems, one folder each: typed calls in, small dataclasses out, their errors translated."""
