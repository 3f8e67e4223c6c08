"""Say of earlier rollouts when they first failed or began to go back: the record knows."""

from django.db import migrations

FILL = """
UPDATE rollouts_rollout SET failed_at = told.at FROM (
    SELECT subject, min(at) AS at FROM audit_auditentry
    WHERE subject_kind = 'rollout' AND action IN ('rollout.failed', 'rollout.rolling_back')
    GROUP BY subject
) told WHERE told.subject = rollouts_rollout.id::text AND rollouts_rollout.failed_at IS NULL
"""
EMPTY = "UPDATE rollouts_rollout SET failed_at = NULL WHERE failed_at IS NOT NULL"


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0003_chain_check"),
        ("rollouts", "0004_failed_at"),
    ]

    operations = [migrations.RunSQL(FILL, EMPTY)]
