"""Faults around the portal, played on one machine (attacks.md, section 4)."""
