"""Carrying a release out: plan, engine, steps, watcher, rollback, verification of what ran."""
