from django.db import migrations

# What was answered before answers were kept is the first of each check's answers.
COPY = """
INSERT INTO releases_answer (release_id, item_id, text, result, evidence, answered_by_id, answered_at)
SELECT release_id, id, text, result, evidence, answered_by_id, answered_at
FROM releases_check WHERE result <> '' AND answered_at IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("releases", "0004_evidence")]

    operations = [migrations.RunSQL(COPY, "DELETE FROM releases_answer;")]
