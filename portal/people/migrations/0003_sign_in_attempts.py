"""The store of counted attempts (sign-in limits): in the database, because Redis may be emptied at any moment."""

from django.db import migrations

# The form of django.core.cache.backends.db.
MAKE = """
CREATE TABLE people_attempts (
    cache_key varchar(255) PRIMARY KEY,
    value text NOT NULL,
    expires timestamp with time zone NOT NULL
);
CREATE INDEX people_attempts_expires ON people_attempts (expires);
"""


class Migration(migrations.Migration):
    """One table without a model."""

    dependencies = [("people", "0002_session_generation")]
    operations = [migrations.RunSQL(MAKE, "DROP TABLE people_attempts;")]
