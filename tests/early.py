"""Loaded before every other plugin: the servers of the run are named before anything reads the settings."""

from tests.services import TestServices

TestServices().start()
