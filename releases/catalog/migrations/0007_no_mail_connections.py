"""Connections of kind mail go: nothing was ever sent by one. Back again there are none."""

from typing import Any

from django.db import migrations, models

KINDS = [('kubernetes', 'Kubernetes'), ('registry', 'Image registry'), ('http', 'HTTP hosts'), ('prometheus', 'Prometheus'), ('gitlab', 'GitLab'), ('github', 'GitHub'), ('ci', 'CI system')]


def remove(apps: Any, schema_editor: Any) -> None:
    apps.get_model('catalog', 'Connection').objects.filter(kind='mail').delete()


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0006_restore_right'),
    ]

    operations = [
        migrations.RunPython(remove, migrations.RunPython.noop),
        migrations.RemoveConstraint(
            model_name='connection',
            name='catalog_connection_kind',
        ),
        migrations.AlterField(
            model_name='connection',
            name='kind',
            field=models.CharField(choices=KINDS, max_length=20),
        ),
        migrations.AddConstraint(
            model_name='connection',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', [kind for kind, _title in KINDS])), name='catalog_connection_kind'),
        ),
    ]
