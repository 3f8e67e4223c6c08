"""Scheduled operations: health checks, backups, clean-up; and the restoring of a database."""
