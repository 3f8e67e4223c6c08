"""The one list of step kinds."""

from releases.rollouts.steps.access_check import AccessCheck
from releases.rollouts.steps.certificate import Certificate
from releases.rollouts.steps.cluster_view import ClusterView
from releases.rollouts.steps.colours import FindColours
from releases.rollouts.steps.headroom import Headroom
from releases.rollouts.steps.health import Health, HttpCheck
from releases.rollouts.steps.helm_backup import HelmBackup
from releases.rollouts.steps.helm_check import HelmCheck
from releases.rollouts.steps.helm_rollback import HelmRollback
from releases.rollouts.steps.helm_status import HelmStatus
from releases.rollouts.steps.helm_upgrade import HelmUpgrade
from releases.rollouts.steps.image_exists import ImageExists
from releases.rollouts.steps.kind import StepKind
from releases.rollouts.steps.log_pattern import LogPattern
from releases.rollouts.steps.manifests import ApplyManifests, RecordManifests, RestoreManifests
from releases.rollouts.steps.metric import Metric
from releases.rollouts.steps.notice import Notice
from releases.rollouts.steps.pods_running import PodsRunning
from releases.rollouts.steps.promote import Promote
from releases.rollouts.steps.record_running import RecordRunning
from releases.rollouts.steps.restart import Restart
from releases.rollouts.steps.restore_database import RestoreDatabase
from releases.rollouts.steps.restore_image import RestoreImage
from releases.rollouts.steps.run_job import RunJob
from releases.rollouts.steps.scale import RestoreScale, Scale
from releases.rollouts.steps.secret_hygiene import SecretHygiene
from releases.rollouts.steps.set_image import SetImage
from releases.rollouts.steps.set_resources import RestoreResources, SetResources
from releases.rollouts.steps.set_weight import RecordWeights, RestoreWeights, SetWeight
from releases.rollouts.steps.switch_service import RecordServices, RestoreServices, SwitchService
from releases.rollouts.steps.verify_digests import VerifyDigests
from releases.rollouts.steps.wait_rollout import WaitRollout
from releases.rollouts.steps.watch import Watch

KINDS: dict[str, StepKind] = {
    kind.name: kind
    for kind in (
        AccessCheck(),
        PodsRunning(),
        ImageExists(),
        FindColours(),
        RecordRunning(),
        RunJob(),
        RestoreDatabase(),
        Scale(),
        RecordServices(),
        SwitchService(),
        SetImage(),
        HelmCheck(),
        HelmBackup(),
        HelmUpgrade(),
        HelmStatus(),
        HelmRollback(),
        WaitRollout(),
        Promote(),
        Health(),
        HttpCheck(),
        ClusterView(),
        Metric(),
        VerifyDigests(),
        Notice(),
        RestoreImage(),
        RestoreScale(),
        RestoreServices(),
        RecordWeights(),
        SetWeight(),
        RestoreWeights(),
        RecordManifests(),
        ApplyManifests(),
        RestoreManifests(),
        Restart(),
        SetResources(),
        RestoreResources(),
        Certificate(),
        LogPattern(),
        Headroom(),
        SecretHygiene(),
    )
}
# It measures with the others.
KINDS[Watch.name] = Watch(KINDS)
