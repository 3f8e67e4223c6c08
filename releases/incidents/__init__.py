"""Incidents: what is wrong with a service, on one page with what can be done about it (screens.md 2.10)."""
