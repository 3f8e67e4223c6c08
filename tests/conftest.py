"""Starts the servers of the test run and Django."""

import os

import django

from tests.services import TestServices

# At import: the conftest files of the folders below import models, which need settings and a database.
TestServices().start()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()
