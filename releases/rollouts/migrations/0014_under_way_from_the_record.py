"""Say of earlier rollouts for how long they were under way: the record knows each change of their state."""

from django.db import migrations

FILL = """
UPDATE rollouts_rollout SET under_way_seconds = told.seconds FROM (
    SELECT subject, sum(extract(epoch FROM until - at)) AS seconds, way FROM (
        SELECT subject, at, lead(at) OVER (PARTITION BY subject ORDER BY id) AS until,
            CASE WHEN action IN ('rollout.running', 'rollout.verifying', 'rollout.switching') THEN 'succeeded'
                WHEN action = 'rollout.rolling_back' THEN 'rolled_back' END AS way
        FROM audit_auditentry WHERE subject_kind = 'rollout' AND action <> 'rollout.refused'
    ) spans GROUP BY subject, way
) told
WHERE told.subject = rollouts_rollout.id::text AND told.way = rollouts_rollout.state
    AND rollouts_rollout.under_way_seconds IS NULL
"""


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0003_chain_check"),
        ("rollouts", "0013_under_way"),
    ]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
