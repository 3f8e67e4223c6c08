"""The tables as of the first version, in one step: a new database is made in half the time."""

import django.core.serializers.json
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [
        ('releases', '0001_initial'),
        ('releases', '0002_sealed_checklist'),
        ('releases', '0003_image_authors'),
        ('releases', '0004_evidence'),
        ('releases', '0005_present_answers'),
        ('releases', '0006_schedule'),
        ('releases', '0007_item_facts'),
        ('releases', '0008_gates'),
        ('releases', '0009_carried_from'),
        ('releases', '0010_operations'),
    ]

    initial = True

    dependencies = [
        ('approvals', '0001_squashed_0006_proposals_sent_back'),
        ('catalog', '0001_squashed_0006_restore_right'),
        ('people', '0001_squashed_0004_delegation'),
    ]

    operations = [
        migrations.CreateModel(
            name='Release',
            fields=[
                ('number', models.BigAutoField(primary_key=True, serialize=False)),
                ('title', models.CharField(max_length=200)),
                ('state', models.CharField(choices=[('draft', 'draft'), ('submitted', 'submitted'), ('in_review', 'in review'), ('approved', 'approved'), ('scheduled', 'scheduled'), ('rolling_out', 'rolling out'), ('paused', 'paused'), ('verifying', 'verifying'), ('awaiting_signoff', 'awaiting sign-off'), ('switching', 'switching'), ('announced', 'announced'), ('review_owed', 'review owed'), ('closed', 'closed'), ('sent_back', 'sent back'), ('rejected', 'rejected'), ('withdrawn', 'withdrawn'), ('expired', 'expired'), ('superseded', 'superseded'), ('failed', 'failed'), ('rolling_back', 'rolling back'), ('rolled_back', 'rolled back')], default='draft', max_length=20)),
                ('facts', models.JSONField(default=dict)),
                ('database_changes', models.JSONField(default=list)),
                ('grade', models.CharField(blank=True, choices=[('A', 'A'), ('B', 'B'), ('C', 'C'), ('D', 'D'), ('E', 'E')], max_length=1)),
                ('grade_reason', models.TextField(blank=True)),
                ('proposal', models.JSONField(default=dict)),
                ('incident', models.JSONField(blank=True, null=True)),
                ('announcement', models.TextField(blank=True)),
                ('content', models.JSONField(default=dict)),
                ('content_digest', models.CharField(blank=True, max_length=80)),
                ('policy_version', models.PositiveIntegerField(null=True)),
                ('target_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField()),
                ('changed_at', models.DateTimeField()),
                ('submitted_at', models.DateTimeField(blank=True, null=True)),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('approval_request', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='approvals.request')),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='releases', to=settings.AUTH_USER_MODEL)),
                ('contributors', models.ManyToManyField(related_name='contributed_releases', to=settings.AUTH_USER_MODEL)),
                ('duplicate_of', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='duplicates', to='releases.release')),
                ('environment', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='releases', to='catalog.environment')),
                ('plan', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='releases', to='catalog.plan')),
                ('superseded_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='supersedes', to='releases.release')),
                ('checklist', models.JSONField(default=dict)),
                ('scheduled_at', models.DateTimeField(blank=True, null=True)),
                ('scheduled_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='scheduled_releases', to=settings.AUTH_USER_MODEL)),
                ('carried_from', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='carried', to='releases.release')),
                ('operation', models.JSONField(db_default={}, default=dict)),
            ],
            options={
                'ordering': ['-number'],
                'indexes': [models.Index(fields=['state', '-number'], name='releases_by_state'), models.Index(fields=['environment', '-number'], name='releases_by_environment'), models.Index(fields=['author', '-number'], name='releases_by_author'), models.Index(condition=models.Q(('state', 'scheduled')), fields=['scheduled_at'], name='releases_due')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'submitted', 'in_review', 'approved', 'scheduled', 'rolling_out', 'paused', 'verifying', 'awaiting_signoff', 'switching', 'announced', 'review_owed', 'closed', 'sent_back', 'rejected', 'withdrawn', 'expired', 'superseded', 'failed', 'rolling_back', 'rolled_back'])), name='releases_release_state'), models.CheckConstraint(condition=models.Q(('grade__in', ['', 'A', 'B', 'C', 'D', 'E'])), name='releases_release_grade'), models.CheckConstraint(condition=models.Q(models.Q(('scheduled_at__isnull', False), ('state', 'scheduled')), models.Q(models.Q(('state', 'scheduled'), _negated=True), ('scheduled_at', None)), _connector='OR'), name='releases_scheduled_has_its_time')],
            },
        ),
        migrations.CreateModel(
            name='EvidenceFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=80, unique=True)),
                ('media_type', models.CharField(max_length=60)),
                ('size_bytes', models.PositiveIntegerField()),
                ('content', models.BinaryField()),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Item',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('version', models.CharField(max_length=128)),
                ('image', models.CharField(blank=True, max_length=400)),
                ('digest', models.CharField(blank=True, max_length=80)),
                ('accepted', models.JSONField(default=list)),
                ('commit', models.CharField(blank=True, max_length=64)),
                ('built_by', models.CharField(blank=True, max_length=254)),
                ('running', models.JSONField(default=dict)),
                ('configuration', models.JSONField(default=list)),
                ('service', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='catalog.service')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='items', to='releases.release')),
                ('image_authors', models.CharField(blank=True, max_length=500)),
                ('facts', models.JSONField(default=dict)),
            ],
            options={
                'ordering': ['position', 'id'],
                'constraints': [models.UniqueConstraint(fields=('release', 'service'), name='releases_item_once')],
            },
        ),
        migrations.CreateModel(
            name='Check',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('phase', models.CharField(choices=[('before', 'Before'), ('during', 'During'), ('after', 'After')], max_length=6)),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('text', models.CharField(max_length=300)),
                ('role', models.CharField(blank=True, choices=[('pl', 'Project lead'), ('team_lead', 'Team lead'), ('infra_senior', 'Infrastructure senior'), ('director', 'Director'), ('qa', 'QA'), ('release_manager', 'Release manager'), ('auditor', 'Auditor'), ('administrator', 'Administrator')], max_length=20)),
                ('kind', models.CharField(default='person', max_length=10)),
                ('required', models.BooleanField(default=True)),
                ('result', models.CharField(blank=True, choices=[('done', 'done'), ('failed', 'failed'), ('not_applicable', 'not applicable')], max_length=14)),
                ('evidence', models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('answered_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='checks', to='releases.release')),
            ],
            options={
                'ordering': ['phase', 'position', 'id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('phase__in', ['before', 'during', 'after'])), name='releases_check_phase')],
            },
        ),
        migrations.CreateModel(
            name='Change',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('area', models.CharField(max_length=60)),
                ('text', models.CharField(max_length=500)),
                ('link', models.URLField(blank=True, max_length=500, null=True)),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='releases.release')),
            ],
            options={
                'ordering': ['position', 'id'],
            },
        ),
        migrations.CreateModel(
            name='Answer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.CharField(max_length=300)),
                ('result', models.CharField(choices=[('done', 'done'), ('failed', 'failed'), ('not_applicable', 'not applicable')], max_length=14)),
                ('evidence', models.JSONField(encoder=django.core.serializers.json.DjangoJSONEncoder, null=True)),
                ('answered_at', models.DateTimeField()),
                ('answered_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('item', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='answers', to='releases.check')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='answers', to='releases.release')),
                ('file', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='answers', to='releases.evidencefile')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('result__in', ['done', 'failed', 'not_applicable'])), name='releases_answer_result')],
            },
        ),
        migrations.CreateModel(
            name='Gate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=120)),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('kind', models.CharField(max_length=40)),
                ('params', models.JSONField(default=dict)),
                ('result', models.CharField(blank=True, choices=[('passed', 'passed'), ('breached', 'breached'), ('errored', 'could not measure'), ('inconclusive', 'inconclusive')], max_length=12)),
                ('observed', models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ('history', models.JSONField(default=list)),
                ('since', models.DateTimeField(blank=True, null=True)),
                ('measured_at', models.DateTimeField(blank=True, null=True)),
                ('due_at', models.DateTimeField()),
                ('breaches', models.PositiveIntegerField(default=0)),
                ('breached_at', models.DateTimeField(blank=True, null=True)),
                ('ignored_at', models.DateTimeField(blank=True, null=True)),
                ('ignored_reason', models.TextField(blank=True)),
                ('ignored_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('item', models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='gate', to='releases.check')),
                ('release', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='gates', to='releases.release')),
                ('service', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.service')),
            ],
            options={
                'ordering': ['position', 'id'],
                'indexes': [models.Index(fields=['due_at'], name='releases_gates_due')],
                'constraints': [models.UniqueConstraint(fields=('release', 'key'), name='releases_gate_once'), models.CheckConstraint(condition=models.Q(('result__in', ['', 'passed', 'breached', 'errored', 'inconclusive'])), name='releases_gate_result'), models.CheckConstraint(condition=models.Q(('ignored_at', None), ('breached_at__isnull', False), _connector='OR'), name='releases_only_a_breach_is_ignored')],
            },
        ),
    ]
