"""The tables as of the first version, in one step: a new database is made in half the time."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    replaces = [
        ('approvals', '0001_initial'),
        ('approvals', '0002_initial'),
        ('approvals', '0003_accepted_capacities'),
        ('approvals', '0004_policy_proposals'),
        ('approvals', '0005_decision_delegations'),
        ('approvals', '0006_proposals_sent_back'),
    ]

    initial = True

    dependencies = [
        ('people', '0001_squashed_0004_delegation'),
    ]

    operations = [
        migrations.CreateModel(
            name='PolicyVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField(unique=True)),
                ('table', models.JSONField()),
                ('note', models.CharField(blank=True, max_length=250)),
                ('created_at', models.DateTimeField()),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-version'],
            },
        ),
        migrations.CreateModel(
            name='Request',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subject', models.CharField(db_index=True, max_length=120)),
                ('round', models.PositiveIntegerField(default=1)),
                ('grade', models.CharField(max_length=1)),
                ('content_digest', models.CharField(max_length=80)),
                ('state', models.CharField(choices=[('open', 'open'), ('approved', 'approved'), ('sent_back', 'sent back'), ('rejected', 'rejected'), ('void', 'void')], default='open', max_length=10)),
                ('opened_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('barred', models.ManyToManyField(blank=True, related_name='barred_from', to=settings.AUTH_USER_MODEL)),
                ('opened_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('policy', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to='approvals.policyversion')),
                ('deadline_at', models.DateTimeField(blank=True, null=True)),
                ('watched_since', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['open', 'approved'])), fields=('subject',), name='approvals_one_open_request'), models.CheckConstraint(condition=models.Q(('state__in', ['open', 'approved', 'sent_back', 'rejected', 'void'])), name='approvals_request_state')],
            },
        ),
        migrations.CreateModel(
            name='Coverage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('gaps', models.JSONField(default=list)),
                ('services', models.PositiveIntegerField()),
                ('looked_at', models.DateTimeField()),
                ('policy', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='approvals.policyversion')),
            ],
        ),
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('phase', models.CharField(choices=[('review', 'review'), ('signoff', 'sign-off'), ('owed', 'owed review')], max_length=10)),
                ('verdict', models.CharField(choices=[('approve', 'Approve'), ('send_back', 'Send back'), ('reject', 'Reject'), ('object', 'Object')], max_length=10)),
                ('content_digest', models.CharField(max_length=80)),
                ('reason', models.TextField(blank=True)),
                ('capacities', models.JSONField(default=list)),
                ('door', models.CharField(max_length=10)),
                ('decided_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('answer', models.TextField(blank=True)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('answered_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('on_behalf_of', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to=settings.AUTH_USER_MODEL)),
                ('request', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='decisions', to='approvals.request')),
                ('delegations', models.ManyToManyField(blank=True, related_name='decisions', to='people.delegation')),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('revoked_at', None), models.Q(('verdict', 'object'), _negated=True)), fields=('request', 'person', 'phase'), name='approvals_one_decision'), models.CheckConstraint(condition=models.Q(('verdict__in', ['approve', 'send_back', 'reject', 'object'])), name='approvals_decision_verdict'), models.CheckConstraint(condition=models.Q(('on_behalf_of', None), models.Q(('on_behalf_of', models.F('person')), _negated=True), _connector='OR'), name='approvals_decision_for_another')],
            },
        ),
        migrations.CreateModel(
            name='Requirement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('phase', models.CharField(choices=[('review', 'review'), ('signoff', 'sign-off'), ('owed', 'owed review')], max_length=10)),
                ('role', models.CharField(choices=[('pl', 'Project lead'), ('team_lead', 'Team lead'), ('infra_senior', 'Infrastructure senior'), ('director', 'Director'), ('qa', 'QA'), ('release_manager', 'Release manager'), ('auditor', 'Auditor'), ('administrator', 'Administrator')], max_length=20)),
                ('scope', models.CharField(max_length=120)),
                ('count', models.PositiveSmallIntegerField(default=1)),
                ('because', models.JSONField(default=list)),
                ('climbed', models.JSONField(default=list)),
                ('fulfillable', models.BooleanField(default=True)),
                ('request', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='requirements', to='approvals.request')),
                ('accepted', models.JSONField(default=list)),
            ],
            options={
                'ordering': ['id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('count__gte', 1)), name='approvals_count_positive'), models.CheckConstraint(condition=models.Q(('phase__in', ['review', 'signoff', 'owed'])), name='approvals_requirement_phase')],
            },
        ),
        migrations.CreateModel(
            name='PolicyProposal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('table', models.JSONField()),
                ('note', models.TextField()),
                ('content_digest', models.CharField(max_length=80)),
                ('state', models.CharField(choices=[('open', 'open'), ('accepted', 'accepted'), ('sent_back', 'sent back'), ('rejected', 'rejected'), ('withdrawn', 'withdrawn')], default='open', max_length=10)),
                ('created_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('approval_request', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='approvals.request')),
                ('author', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('base', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='proposals', to='approvals.policyversion')),
                ('became', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='proposal', to='approvals.policyversion')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('state',), name='approvals_one_open_proposal'), models.CheckConstraint(condition=models.Q(('state__in', ['open', 'accepted', 'sent_back', 'rejected', 'withdrawn'])), name='approvals_proposal_state')],
            },
        ),
    ]
