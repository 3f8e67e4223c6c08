"""The tables as of the first version, in one step: a new database is made in half the time."""

import django.core.serializers.json
import django.db.models.constraints
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [
        ('catalog', '0001_initial'),
        ('catalog', '0002_stored_document'),
        ('catalog', '0003_deferred_namespace'),
        ('catalog', '0004_prometheus'),
        ('catalog', '0005_ci_events'),
        ('catalog', '0006_restore_right'),
    ]

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('people', '0001_squashed_0004_delegation'),
    ]

    operations = [
        migrations.CreateModel(
            name='Checklist',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, unique=True)),
                ('title', models.CharField(blank=True, max_length=160)),
                ('source', models.JSONField(default=dict)),
                ('version', models.PositiveIntegerField(default=1)),
                ('spec', models.JSONField(default=dict)),
            ],
            options={
                'ordering': ['name'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Connection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, unique=True)),
                ('title', models.CharField(blank=True, max_length=160)),
                ('source', models.JSONField(default=dict)),
                ('kind', models.CharField(choices=[('kubernetes', 'Kubernetes'), ('registry', 'Image registry'), ('http', 'HTTP hosts'), ('prometheus', 'Prometheus'), ('mail', 'Mail'), ('gitlab', 'GitLab'), ('github', 'GitHub'), ('ci', 'CI system')], max_length=20)),
                ('spec', models.JSONField(default=dict)),
            ],
            options={
                'ordering': ['name'],
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['kubernetes', 'registry', 'http', 'prometheus', 'mail', 'gitlab', 'github', 'ci'])), name='catalog_connection_kind')],
            },
        ),
        migrations.CreateModel(
            name='StoredDocument',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=20)),
                ('name', models.CharField(max_length=120)),
                ('root', models.CharField(max_length=120)),
                ('file', models.CharField(max_length=250)),
                ('position', models.PositiveIntegerField()),
                ('text', models.TextField()),
                ('source', models.JSONField()),
            ],
            options={
                'ordering': ['root', 'file', 'position'],
                'constraints': [models.UniqueConstraint(fields=('kind', 'name'), name='catalog_one_document_a_name')],
            },
        ),
        migrations.CreateModel(
            name='Environment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, unique=True)),
                ('title', models.CharField(blank=True, max_length=160)),
                ('source', models.JSONField(default=dict)),
                ('system', models.CharField(max_length=120)),
                ('stage', models.CharField(choices=[('production', 'production'), ('staging', 'staging'), ('development', 'development')], max_length=12)),
                ('cluster_group', models.CharField(default='default', max_length=60)),
                ('namespace', models.CharField(max_length=63)),
                ('protected', models.BooleanField(default=True)),
                ('spec', models.JSONField(default=dict)),
                ('cluster', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='environments', to='catalog.connection')),
            ],
            options={
                'ordering': ['name'],
                'permissions': [('deploy_environment', 'Start a rollout here'), ('operate_environment', 'Resume, retry, skip and roll back here'), ('stop_environment', 'Pause and stop here')],
                'abstract': False,
                'constraints': [models.CheckConstraint(condition=models.Q(('stage__in', ['production', 'staging', 'development'])), name='catalog_environment_stage'), models.UniqueConstraint(deferrable=django.db.models.constraints.Deferrable['DEFERRED'], fields=('cluster', 'namespace'), name='catalog_one_environment_per_namespace')],
            },
        ),
        migrations.CreateModel(
            name='EnvironmentGroupPermission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('content_object', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='catalog.environment')),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.group')),
                ('permission', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.permission')),
            ],
            options={
                'abstract': False,
                'unique_together': {('group', 'permission', 'content_object')},
            },
        ),
        migrations.CreateModel(
            name='Plan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, unique=True)),
                ('title', models.CharField(blank=True, max_length=160)),
                ('source', models.JSONField(default=dict)),
                ('strategy', models.CharField(default='rolling', max_length=40)),
                ('spec', models.JSONField(default=dict)),
                ('environments', models.ManyToManyField(related_name='plans', to='catalog.environment')),
            ],
            options={
                'ordering': ['name'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Service',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=120, unique=True)),
                ('title', models.CharField(blank=True, max_length=160)),
                ('source', models.JSONField(default=dict)),
                ('system', models.CharField(max_length=120)),
                ('core', models.BooleanField(default=False)),
                ('image', models.CharField(max_length=250)),
                ('spec', models.JSONField(default=dict)),
                ('environments', models.ManyToManyField(related_name='services', to='catalog.environment')),
                ('team', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='services', to='people.team')),
            ],
            options={
                'ordering': ['name'],
                'permissions': [('compose_service', 'Compose a release of this service'), ('restore_service', 'Ask for and start a restore of its database')],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Running',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seen', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ('expected', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ('release', models.BigIntegerField(null=True)),
                ('since', models.DateTimeField(blank=True, null=True)),
                ('seen_at', models.DateTimeField(blank=True, null=True)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='running', to='catalog.environment')),
                ('service', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='running', to='catalog.service')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('service', 'environment'), name='catalog_running_once')],
            },
        ),
        migrations.CreateModel(
            name='ServiceGroupPermission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('content_object', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='catalog.service')),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.group')),
                ('permission', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to='auth.permission')),
            ],
            options={
                'abstract': False,
                'unique_together': {('group', 'permission', 'content_object')},
            },
        ),
    ]
