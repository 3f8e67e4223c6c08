"""The tables as of the first version, in one step: a new database is made in half the time."""

import django.core.serializers.json
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [
        ('rollouts', '0001_initial'),
        ('rollouts', '0002_nudges'),
        ('rollouts', '0003_stumble'),
        ('rollouts', '0004_failed_at'),
        ('rollouts', '0005_failures_from_the_record'),
        ('rollouts', '0006_by_end'),
        ('rollouts', '0007_trace'),
        ('rollouts', '0008_signoff_part'),
        ('rollouts', '0009_findings'),
        ('rollouts', '0010_queue'),
    ]

    initial = True

    dependencies = [
        ('catalog', '0001_squashed_0006_restore_right'),
        ('people', '0001_squashed_0004_delegation'),
        ('releases', '0001_squashed_0010_operations'),
    ]

    operations = [
        migrations.CreateModel(
            name='WatchLead',
            fields=[
                ('cluster', models.CharField(max_length=120, primary_key=True, serialize=False)),
                ('owner', models.CharField(max_length=80)),
                ('until', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Rollout',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('paused', 'paused'), ('verifying', 'verifying'), ('awaiting_signoff', 'awaiting sign-off'), ('switching', 'switching'), ('stopping', 'stopping'), ('stopped', 'stopped'), ('failed', 'failed'), ('succeeded', 'succeeded'), ('rolling_back', 'rolling back'), ('rolled_back', 'rolled back'), ('rollback_failed', 'rollback failed')], default='queued', max_length=20)),
                ('content_digest', models.CharField(max_length=80)),
                ('expected_seconds', models.PositiveIntegerField(default=0)),
                ('pause', models.JSONField(blank=True, null=True)),
                ('verdict', models.JSONField(blank=True, null=True)),
                ('lease_owner', models.CharField(blank=True, max_length=80)),
                ('lease_epoch', models.BigIntegerField(default=0)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('wake_at', models.DateTimeField(blank=True, null=True)),
                ('queued_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rollouts', to='catalog.environment')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rollouts', to='releases.release')),
                ('started_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('nudges', models.BigIntegerField(default=0)),
                ('stumble', models.JSONField(blank=True, null=True)),
                ('failed_at', models.DateTimeField(blank=True, null=True)),
                ('trace', models.CharField(blank=True, db_default='', max_length=32)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['environment', '-id'], name='rollouts_by_environment'), models.Index(fields=['started_at'], name='rollouts_by_start'), models.Index(fields=['environment', 'ended_at'], name='rollouts_by_end'), models.Index(condition=models.Q(('state__in', ['awaiting_signoff', 'queued', 'rolling_back', 'running', 'stopping', 'switching', 'verifying'])), fields=['wake_at'], name='rollouts_due')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'running', 'paused', 'verifying', 'awaiting_signoff', 'switching', 'stopping', 'stopped', 'failed', 'succeeded', 'rolling_back', 'rolled_back', 'rollback_failed'])), name='rollouts_rollout_state'), models.UniqueConstraint(condition=models.Q(('state__in', ['awaiting_signoff', 'failed', 'paused', 'queued', 'rolling_back', 'running', 'stopping', 'switching', 'verifying'])), fields=('release',), name='rollouts_one_open_rollout')],
            },
        ),
        migrations.CreateModel(
            name='Finding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('open', 'open'), ('explained', 'explained'), ('adopted', 'adopted'), ('ended', 'ended')], default='open', max_length=12)),
                ('differences', models.JSONField(default=list)),
                ('mark', models.CharField(max_length=64)),
                ('opened_at', models.DateTimeField()),
                ('changed_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('reason', models.TextField(blank=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='findings', to='catalog.environment')),
                ('put_back_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='puts_back', to='releases.release')),
                ('service', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='findings', to='catalog.service')),
                ('settled_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['environment', '-id'], name='rollouts_findings')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['open', 'explained', 'adopted', 'ended'])), name='rollouts_finding_state'), models.UniqueConstraint(condition=models.Q(('state__in', ['explained', 'open'])), fields=('service', 'environment'), name='rollouts_one_standing_finding')],
            },
        ),
        migrations.CreateModel(
            name='Pin',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('set_at', models.DateTimeField()),
                ('lifted_at', models.DateTimeField(blank=True, null=True)),
                ('lift_reason', models.TextField(blank=True)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pins', to='catalog.environment')),
                ('lifted_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('service', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pins', to='catalog.service')),
                ('rollout', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pins', to='rollouts.rollout')),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('lifted_at', None)), fields=('service', 'environment'), name='rollouts_one_pin')],
            },
        ),
        migrations.CreateModel(
            name='Step',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=120)),
                ('kind', models.CharField(max_length=40)),
                ('direction', models.CharField(choices=[('forward', 'forward'), ('back', 'back')], default='forward', max_length=8)),
                ('wave', models.PositiveSmallIntegerField(default=0)),
                ('wave_title', models.CharField(blank=True, max_length=120)),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('ready', 'ready'), ('running', 'running'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('errored', 'errored'), ('inconclusive', 'inconclusive'), ('cancelled', 'cancelled'), ('skipped', 'skipped'), ('undone', 'undone')], default='waiting', max_length=12)),
                ('params', models.JSONField(default=dict)),
                ('planned', models.JSONField(default=dict)),
                ('before', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ('intent', models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True)),
                ('acted', models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True)),
                ('observed', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ('failure', models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True)),
                ('history', models.JSONField(default=list, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ('attempt', models.PositiveIntegerField(default=1)),
                ('tries', models.PositiveIntegerField(default=0)),
                ('timeout_seconds', models.PositiveIntegerField(default=600)),
                ('reason', models.TextField(blank=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('acted_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('deadline_at', models.DateTimeField(blank=True, null=True)),
                ('wake_at', models.DateTimeField(blank=True, null=True)),
                ('depends_on', models.ManyToManyField(related_name='dependents', to='rollouts.step')),
                ('rollout', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='rollouts.rollout')),
                ('service', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.service')),
                ('undo_of', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='undone_by', to='rollouts.step')),
            ],
            options={
                'ordering': ['position', 'id'],
                'constraints': [models.UniqueConstraint(fields=('rollout', 'key'), name='rollouts_step_key'), models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'ready', 'running', 'succeeded', 'failed', 'errored', 'inconclusive', 'cancelled', 'skipped', 'undone'])), name='rollouts_step_state')],
            },
        ),
        migrations.CreateModel(
            name='QueuePlace',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('queued', 'queued'), ('begun', 'begun'), ('given_back', 'given back'), ('cancelled', 'cancelled')], default='queued', max_length=12)),
                ('asked_at', models.DateTimeField()),
                ('reason', models.TextField(blank=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='queue_places', to='catalog.environment')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='queue_places', to='releases.release')),
                ('rollout', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='rollouts.rollout')),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(condition=models.Q(('state', 'queued')), fields=['environment', 'id'], name='rollouts_queue')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'begun', 'given_back', 'cancelled'])), name='rollouts_place_state'), models.UniqueConstraint(condition=models.Q(('state', 'queued')), fields=('release',), name='rollouts_one_place')],
            },
        ),
        migrations.CreateModel(
            name='Order',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('pause', 'Pause'), ('resume', 'Resume'), ('stop', 'Stop'), ('rollback', 'Roll back'), ('retry', 'Retry'), ('skip', 'Skip')], max_length=10)),
                ('door', models.CharField(max_length=10)),
                ('reason', models.TextField(blank=True)),
                ('asked_at', models.DateTimeField()),
                ('honoured_at', models.DateTimeField(blank=True, null=True)),
                ('outcome', models.CharField(blank=True, max_length=250)),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('rollout', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='orders', to='rollouts.rollout')),
                ('step', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='orders', to='rollouts.step')),
                ('trace', models.CharField(blank=True, db_default='', max_length=32)),
            ],
            options={
                'ordering': ['id'],
                'indexes': [models.Index(condition=models.Q(('honoured_at', None)), fields=['rollout'], name='rollouts_open_orders')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['pause', 'resume', 'stop', 'rollback', 'retry', 'skip'])), name='rollouts_order_kind')],
            },
        ),
    ]
