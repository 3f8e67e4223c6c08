"""Helm, by its own program: charts of a folder rendered, released and taken back (protocols.md, D)."""
