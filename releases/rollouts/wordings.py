"""The words for every code that the engine's rows and events keep, as templates; texts.py fills them.

A template names its arguments as `{name}`; an argument is data as it came, never markup.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise

KINDS: dict[str, Text] = {
    "access_check": _("Check access rights"),
    "pods_running": _("Check that all pods run"),
    "image_exists": _("Check that the images exist"),
    "record_running": _("Record what runs"),
    "run_job": _("Run the Job"),
    "restore_database": _("Restore the database"),
    "scale": _("Scale"),
    "record_services": _("Record what runs"),
    "switch_service": _("Switch the traffic"),
    "find_colours": _("Find the idle colour"),
    "cluster_view": _("Check the cluster view"),
    "set_image": _("Set the image"),
    "helm_check": _("Check the chart"),
    "helm_backup": _("Back up what Helm has deployed"),
    "helm_upgrade": _("Upgrade by Helm"),
    "helm_status": _("Show what Helm has deployed"),
    "helm_rollback": _("Roll back by Helm"),
    "wait_rollout": _("Wait for the rollout"),
    "promote": _("Promote the canary"),
    "health": _("Check health"),
    "http": _("Check HTTP"),
    "prometheus": _("Check a metric"),
    "watch": _("Watch"),
    "verify_digests": _("Verify what runs"),
    "notice": _("Send the notice"),
    "restore_image": _("Restore the image"),
    "restore_scale": _("Restore the scale"),
    "restore_services": _("Switch the traffic back"),
    "record_weights": _("Record what runs"),
    "set_weight": _("Share the traffic"),
    "restore_weights": _("Share the traffic as before"),
    "record_manifests": _("Record what runs"),
    "apply_manifests": _("Apply the manifests"),
    "restore_manifests": _("Restore the manifests"),
    "restart": _("Restart"),
    "set_resources": _("Set the resources"),
    "restore_resources": _("Restore the resources"),
    "certificate": _("Check the certificate"),
    "log_pattern": _("Check the logs"),
    "headroom": _("Check the headroom"),
    "secret_hygiene": _("Check the secrets"),
}
SECTIONS: dict[str, Text] = {"before": _("Before"), "after": _("After"), "back": _("After")}
OBSERVED: dict[str, Text] = {
    "done": _("Done"),
    "rights_held": _("All rights are there"),
    "pods_running": _("All pods run: {count}"),
    "pods_not_running": _("Pods that do not run ({count}): {names}"),
    "images_exist": _("All images exist: {count}"),
    "recorded": _("Recorded"),
    "job_runs": _("The Job {name} runs"),
    "job_done": _("The Job {name} is done"),
    "database_restored": _("Restored from {name}: {rows} rows, as many as the backup has; {before} before"),
    "job_still_runs": _("Waits for an earlier attempt that still runs: {name}"),
    "scaled": _("{ready}/{wanted} ready"),
    "waits_scaled": _("{ready}/{wanted} ready"),
    "switched": _("The traffic goes to the new pods"),
    "switched_back": _("The traffic goes where it went before"),
    "weighted": _("The canary gets {weight} % of the traffic"),
    "waits_gateway": _("The gateway has not taken it up yet: {name}"),
    "waits_endpoints": _("The addresses do not follow yet: {names}"),
    "colours_found": _("{live} is live, {idle} is idle"),
    "view_settled": _("All {pods} pods see the same {size} members"),
    "view_settling": _("All {pods} pods see the same {size} members; watched for {span} more"),
    "view_differs": _("{wanted} members are expected; {seen}"),
    "view_rebalances": _("The cluster rebalances: {status}"),
    "view_silent": _("Pods that do not answer ({count}): {names}"),
    "image_set": _("Image set"),
    "manifests_applied": _("{count} objects are as the manifests say"),
    "objects_end": _("Waits until these are gone: {names}"),
    "manifests_restored": _("The manifests are as they were applied before"),
    "restarted": _("Restarted"),
    "resources_set": _("Resources set"),
    "resources_restored": _("Resources restored"),
    "image_restored": _("Image restored"),
    "helm_checked": _(
        "Helm {version}: the chart renders, and the cluster would take it; {count} fields differ"
    ),
    "helm_backed_up": _("Revision {revision} recorded with its values and manifest"),
    "helm_none_before": _("Helm has deployed nothing under this name yet"),
    "helm_upgraded": _("Revision {revision} written"),
    "helm_rolled_back": _("Revision {revision} written, as revision {target} was"),
    "helm_status": _("{release}: revision {revision} of {chart} is deployed. Reached at: {addresses}"),
    "helm_pending": _("Revision {revision} is {status}: helm may still be at work"),
    "helm_timeout": _("helm took too long and was ended; the next try follows: {message}"),
    "rolled_out": _("{ready}/{wanted} ready"),
    "waits_observed": _("The cluster has not taken it up yet"),
    "waits_template": _("The workload asks for another image"),
    "waits_updated": _("{ready}/{wanted} ready"),
    "waits_old_pods": _("{ready}/{wanted} ready, old pods end"),
    "waits_available": _("{ready}/{wanted} ready"),
    "waits_ready": _("{ready}/{wanted} ready"),
    "waits_promotion": _("{weight} % on the new version: it stands at a pause of its own that no step lifts"),
    "waits_pause": _("{weight} % on the new version: it stands at a pause of its own that ends by itself"),
    "canary_stands": _("{weight} % on the new version: {updated} of {total} pods"),
    "canary_goes_on": _("The canary has gone on already"),
    "waits_unpaused": _("Somebody has paused the workload in the cluster. Let it go on: {command}"),
    "waits_held": _("Held by the portal where it is: {updated} of {wanted} pods are new"),
    "settling": _("{ready}/{wanted} ready, watched for {span} more"),
    "healthy": _("{status}"),
    "unhealthy": _("Not healthy yet: {status}"),
    "pods_healthy": _("All pods answer ({count}): {status}"),
    "pods_silent": _("Pods that do not answer ({count}): {names}"),
    "health_no_pods": _("There are no pods that could be asked: {names}"),
    "no_answer": _("No answer yet: {message}"),
    "metric_so_far": _("{value}, good {count} of {wanted} times"),
    "metric_good": _("{value}, good {count} of {wanted} times"),
    "metric_now": _("{value}"),
    "metric_bad": _("Measured bad"),
    "metric_no_data": _("Nothing was measured; is there traffic?"),
    "metric_little_traffic": _("Too little traffic to say: less than {limit}"),
    "metric_nothing_to_compare": _("There is nothing to compare it with"),
    "metric_compared_with_none": _("What it is compared with is nought"),
    "watching": _("{good} of {count} gates are green"),
    "holding": _("Holds"),
    "watched": _("Watched for {span}, every gate is green"),
    "held": _("Held for {span}"),
    "watch_goes_on": _("The time is over; measured again: {gate}: {seen}"),
    "watch_unclear": _("The time is over, and it gave no clear result: {gate}: {seen}"),
    "watch_bad": _("Measured bad"),
    "no_health_known": _("No health check is known; readiness stands in"),
    "exactly_these": _("Exactly what was approved, nothing else"),
    "exactly_before": _("Exactly what ran before, nothing else"),
    "exactly_these_but": _("Exactly what was approved, save what was skipped: {services}"),
    "exactly_before_but": _("Exactly what ran before, save what was skipped: {services}"),
    "digests_differ": _("Something else runs: {services}"),
    "noticed": _("Messages written: {count}"),
    "unreachable": _("The cluster does not answer; the next try follows: {message}"),
    "unavailable": _("The cluster cannot answer now; the next try follows: {message}"),
    "server_error": _("The cluster reports an error; the next try follows: {message}"),
    "too_many_requests": _("The cluster asks to wait: {message}"),
    "conflict": _("The object has just changed; it is read again"),
    "certificate_good": _("{subject}, from {issuer}, until {until}: {days} days are left"),
    "log_good": _("The logs of {pods} pods are as they should be"),
    "log_lacks": _("{count} pods have not said “{pattern}”: {names}"),
    "log_no_pods": _("There are no new pods whose logs could be read"),
    "log_unread": _("The logs of {names} cannot be read: {message}"),
    "headroom_there": _("Room for {pods} more pods on {nodes} nodes"),
    "headroom_unseen": _("The portal's account may not see what nodes and quotas have left: {message}"),
    "secrets_set": _("The values of {count} Secrets are set"),
    "secrets_unread": _(
        "The portal's account may not read these Secrets: {names}. "
        "Allow it `get` on them by name, or do without this check"
    ),
    "stumbled": _("The portal itself broke off here ({count} of {most}); the next try follows"),
}
# What a health answer's JSON says otherwise than the catalog asks for.
UNMET: dict[str, Text] = {
    "missing": _("{path} is missing"),
    "equals": _("{path} is {found}, not {wanted}"),
    "below": _("{path} is {found}, not below {limit}"),
    "above": _("{path} is {found}, not above {limit}"),
}
# What is not measured once more until it is well, but again and again.
MEASURED: dict[str, Text] = {
    "unhealthy": _("Not healthy: {status}"),
    "no_answer": _("No answer: {message}"),
    "measurement_broke_off": _("The portal itself failed at measuring; its log tells more under {incident}"),
}
GATE_RESULTS: dict[str, Text] = {
    "gate.passed": _("{name} passed: {seen}"),
    "gate.breached": _("{name} is breached: {seen}"),
    "gate.errored": _("{name} could not be measured: {seen}"),
    "gate.inconclusive": _("{name} gave no clear result: {seen}"),
    "gate.ignored": _("{by} lets the breach of {name} pass: {reason}"),
}
FAILURES: dict[str, Text] = {
    "ErrImagePull": _("The image cannot be pulled"),
    "InvalidImageName": _("The image's name is invalid"),
    "ErrImageNeverPull": _("The image is not on the node and may not be pulled"),
    "ImageInspectError": _("The image cannot be inspected"),
    "RegistryUnavailable": _("The registry is not available"),
    "CreateContainerConfigError": _("The container's configuration is incomplete"),
    "CreateContainerError": _("The container cannot be created"),
    "RunContainerError": _("The container cannot be started"),
    "PreCreateHookError": _("A hook before the container's creation fails"),
    "PreStartHookError": _("A hook before the container's start fails"),
    "PostStartHookError": _("A hook after the container's start fails"),
    "CreatePodSandboxError": _("The pod's network cannot be made"),
    "FailedMount": _("A volume of the pod cannot be attached or mounted"),
    "CrashLoopBackOff": _("The container starts and crashes again and again"),
    "OOMKilled": _("The container ran out of memory"),
    "Unschedulable": _("No node has room for the pod"),
    "FailedCreate": _("The cluster refuses new pods"),
    "Evicted": _("Pods are evicted"),
    "PodFailed": _("The pod failed"),
    "Unhealthy": _("The readiness check fails"),
    "InitRuns": _("An init container goes on and on; does it wait for another service?"),
    "OldPodInTheWay": _(
        "A pod of another version is not ready, and the StatefulSet replaces none before it is. "
        "Delete that pod, then try again"
    ),
    "ProgressDeadlineExceeded": _("The rollout made no progress within its deadline"),
    "deadline_exceeded": _("The rollout made no progress within its deadline"),
    "still_ending": _(
        "{count} pods have not ended yet, each is given {grace} s (`terminationGracePeriodSeconds`). "
        "Give them more time, then try again"
    ),
    "strategy_not_rolling": _("The workload is not updated by rolling"),
    "workload_paused": _(
        "Somebody has paused {object} in the cluster: new pods would not come. Let it go on (`{command}`), "
        "then try again"
    ),
    "workload_held": _(
        "{object} is held where another rollout was stopped, and with this it would go on to the end: roll "
        "that back, or bring out another release"
    ),
    "no_autoscaler": _("No autoscaler owns the replicas, so there are no bounds to set"),
    "kind_not_supported": _("This kind of workload is not supported"),
    "BackoffLimitExceeded": _("The Job failed as often as it may"),
    "DeadlineExceeded": _("The Job did not end within its time"),
    "PodFailurePolicy": _("The Job failed in a way after which it does not try again"),
    "JobFailed": _("The Job failed"),
    "autoscaler_owns": _("An autoscaler owns the replicas; share the traffic by weight instead"),
    "route_without_backends": _("No rule of the route {name} leads to both {stable} and {canary}"),
    "route_refused": _("The gateway does not take the route"),
    "no_ready_pods": _("No pod is ready where the traffic would go: {names}"),
    "has_traffic": _("{names} still leads to the pods of {object}: switch the traffic first, then retry"),
    "colours_unknown": _("Which colour is live cannot be known: {selectors}"),
    "colours_both": _("Which colour is live cannot be known, one alone must have pods: {sizes}"),
    "colour_mislabelled": _("The pods of {name} do not carry the label {label}"),
    "colour_autoscaled": _("The autoscaler {autoscaler} owns the size of {name}; the plan cannot set it"),
    "colour_fixed_ports": _("The pods of {name} take fixed ports of their nodes: {ports}"),
    "view_differs": _("{wanted} members are expected; {seen}"),
    "view_rebalances": _("The cluster rebalances: {status}"),
    "view_silent": _("Pods that do not answer ({count}): {names}"),
    "view_swings": _("The view swings: {changes} changes within {seconds} s; {seen}"),
    "no_cluster_view": _("The catalog does not say how the cluster view is asked"),
    "job_gone": _(
        "The Job {name} was deleted while it was watched; whether it did its work is not known. "
        "A retry makes a new one; skip the step if its work is done"
    ),
    "rows_differ": _("After the restore there are {rows} rows, where the backup has {expected}"),
    "rows_unsaid": _("The Job did not say how many rows it restored. Look into the database, then decide"),
    "rows_uncompared": _(
        "Restored {rows} rows; how many the backup has is not known. Look into the database, then decide"
    ),
    "job_name_taken": _("There is a Job {name} that is not this rollout's"),
    "rights_missing": _("Rights are missing in the namespace"),
    "pods_not_running": _("Not all pods run"),
    "image_missing": _("An image does not exist"),
    "unhealthy": _("Not healthy within the time"),
    "health_no_pods": _("There were no pods that could be asked"),
    "pods_silent": _("Pods did not answer within the time"),
    "no_answer": _("No answer within the time"),
    "digests_differ": _("Something else runs than was approved"),
    "metric_beyond": _("Measured {value}, where {limit} is the limit"),
    "metric_beyond_other": _("Measured {value}, too far from {other}, with which it is compared"),
    "certificate_ended": _("The certificate of {host} ended on {until}"),
    "certificate_early": _("The certificate of {host} begins only on {since}"),
    "certificate_other_name": _("The certificate is not for {host}; it is for"),
    "certificate_untrusted": _("Nobody known vouches for the certificate of {host}"),
    "certificate_ends": _(
        "The certificate of {host} ends on {until}: {days} days are left, and at least {least} are wanted"
    ),
    "log_forbidden": _("The log says “{pattern}” in {count} of its last lines"),
    "log_lacks": _("{count} pods have not said “{pattern}”: {names}"),
    "log_unread": _("The logs of {names} cannot be read"),
    "headroom_missing": _(
        "No node has room for {count} more pods of {name}, each of which asks for {cpu} CPU and {memory} of "
        "memory"
    ),
    "quota_exceeded": _("The quota {quota} has {left} of {resource} left, and the new pods need {needed}"),
    "secrets_unset": _(
        "Values of Secrets are not fit. Not set, or a placeholder: {unset}; too short: {short}; "
        "missing: {absent}"
    ),
    "plan_unfit": _("The plan does not fit the release"),
    "bad_authority": _("The authority that is to be trusted cannot be read"),
    "gate_breached": _("{gate}: {seen}"),
    "watch_unmeasured": _("The time is over, and it could not be measured: {gate}: {seen}"),
    "bad_query": _("Prometheus cannot be asked this"),
    "timeout": _("Not done within the time"),
    "forbidden": _("The cluster refuses: no right"),
    "unauthorized": _("The cluster does not know the portal's account"),
    "invalid": _("The cluster refuses the change"),
    "missing": _("The object does not exist"),
    "conflict": _("The object changes all the time"),
    "server_error": _("The cluster reports an error"),
    "too_many_requests": _("The cluster is overloaded"),
    "no_such_container": _("The container does not exist"),
    "containers_unnamed": _("The catalog does not say which container"),
    "argo_managed": _(
        "{object} belongs to the Argo CD application {application}, which undoes what others change: "
        "commit the change to its Git repository and sync"
    ),
    "argo_unread": _(
        "{object} belongs to the Argo CD application {application}, which could not be read in the namespace "
        "{namespace}, so that nobody knows whether it undoes what others change: give the portal's account "
        "`get` on applications there, or change it in Git"
    ),
    "canary_under_way": _(
        "An update of this Rollout is under way or was aborted: finish it, or undo it, and start again"
    ),
    "canary_aborted": _("The canary was aborted in the cluster"),
    "canary_degraded": _("The canary does not go on"),
    "canary_invalid": _("The Rollout's specification is not valid"),
    "canary_stops_differ": _(
        "The Rollout pauses {stops} times without a duration, and the plan promotes it {promotions} times"
    ),
    "helm_managed": _("Helm owns this workload; the catalog must say so (`helm`), and Helm changes it"),
    "helm_missing": _("Helm is missing where the workers run"),
    "helm_too_old": _("Helm is too old"),
    "helm_failed": _("Helm could not do it"),
    "helm_does_not_render": _("The chart does not render; correct the chart or its values in the catalog"),
    "helm_unknown_kind": _("The chart has a kind of object that the cluster does not know; install it first"),
    "helm_not_owned": _("An object of the chart exists already and does not belong to this Helm release"),
    "helm_conflict": _(
        "Somebody else has written what the chart would change, and Helm 4 does not take it. "
        "Let them leave it to Helm, or allow Helm to take it in the catalog (`forceConflicts`)"
    ),
    "helm_values": _("The image does not fit into the chart's values"),
    "helm_pending": _(
        "Helm's revision {revision} is {status}: another operation is at work, or its helm was killed. "
        "Wait for it, or end it with helm rollback, and retry"
    ),
    "helm_busy": _(
        "Another operation is at work on the Helm release, or its helm was killed. "
        "Wait for it, or end it with helm rollback, and retry"
    ),
    "helm_other_namespace": _("The chart writes into another namespace: {names}"),
    "helm_workloads_differ": _("The chart and the catalog do not name the same workloads: {names}"),
    "helm_image_unset": _("The chart does not take the release's image: {names}"),
    "helm_names_replicas": _(
        "The chart names replicas that an autoscaler owns: {names}. "
        "Leave them out of the chart while there is one"
    ),
    "helm_fresh": _(
        "The chart renders other values each time, such as random passwords: {names}. "
        "Let the chart keep them, or allow them by name (`fresh`)"
    ),
    "helm_none_before": _("There is no earlier revision of this Helm release to go back to"),
    "helm_other_revision": _("Revision {revision} is deployed, which this rollout did not write"),
    "chart_refused": _("The chart cannot be used"),
    "chart_changed": _("The chart was changed after the approval; submit the release again"),
    "image_unpinned": _(
        "Production takes no image without a digest and no tag latest: {names}. "
        "Pin it in the chart, or allow it by name (`unpinned`)"
    ),
    "manifests_refused": _("The manifests cannot be used"),
    "manifests_changed": _("The manifests were changed after the approval; submit the release again"),
    "manifest_names_image": _("{object} names the image that the release sets; leave it out of the manifest"),
    "manifest_names_replicas": _(
        "{object} names its replicas, which an autoscaler owns; leave them out of the manifest"
    ),
    "field_conflict": _(
        "Somebody else has written a field differently. Leave it out of the manifest, or let them give it up"
    ),
    "nothing_recorded": _("Nothing was recorded to go back to"),
    "connection": _("The connection to the cluster is not usable"),
    "no_address": _("The service has no address"),
    "address_refused": _("This address may not be called"),
    "portal_error": _("The portal itself failed here {count} times; its log tells more under {incident}"),
    "worker_died": _("The worker died here {count} times without getting any further"),
}
# What is worth knowing before the start, and is no fault.
NOTES: dict[str, Text] = {
    "not_asked": _("not looked at, as this dry run had taken {seconds} s already"),
    "no_readiness": _(
        "{name} has no readiness probe ({containers}): “available” says little, "
        "so its pods are watched for {seconds} s once they are up"
    ),
    "no_readiness_unsettled": _(
        "{name} has no readiness probe ({containers}): “available” says little. "
        "Let a settling time (`settleSeconds`) or a health check stand in"
    ),
    "fixed_ports": _(
        "The pods of {name} take fixed ports of their nodes ({ports}): a new one cannot run beside an old one"
    ),
    "held": _(
        "{name} is held where a rollout was stopped: it goes on with this release. A way back leads to what "
        "that rollout was bringing out, not to what ran before it"
    ),
    "partition": _("The pods of {name} with a number below {partition} keep what they run (`partition`)"),
    "slow_to_end": _(
        "The old pods of {name} are given {grace} s to end, and new ones wait for them: together up to "
        "{total} s, but after {limit} s (`timeoutSeconds`) nobody waits any more"
    ),
    "manifests_left": _(
        "The folder no longer holds what was applied from it before, and the cluster still has: {names}. "
        "It stays; delete it yourself, or let the plan do it (`prune`)"
    ),
    "manifests_kept": _(
        "The folder no longer holds what was applied from it before, but it is not the portal's alone: "
        "{names}. It stays; delete it yourself"
    ),
    "autoscaler_astray": _("The autoscaler {autoscaler} aims at {target}, which does not exist"),
}
ENDING: Text = _("{count} pods are ending, each is given {grace} s")
UNREAD: Text = _(
    "So it could not be measured, and nothing is known to be bad. Put that right, then resume: it is only "
    "looked at again"
)
UNPROBED: Text = _("no readiness probe ({containers}), so this says little")
PAUSES: dict[str, Text] = {
    "person": _("Paused by {by}"),
    "stop": _("Stopped on the way back by {by}"),
    "approval": _("The approval no longer holds"),
    "freeze": _("The wave has ended, and the next one may not begin now"),
    "drift": _("{object} was changed by {manager}: {field}"),
    "cluster_lost": _("The cluster has not answered since {since}: {message}"),
    "errored": _("A step could not be measured"),
    "inconclusive": _("A step gave no clear result"),
    "portal_error": _("The portal itself failed {count} times; its log tells more under {incident}"),
    "worker_died": _("The worker died {count} times without getting any further"),
}
# Why a rollout did not go back by itself: its pause, or HALT where somebody had asked for one.
HALT = "halt"
HALTED: Text = _("Somebody had asked to halt it when it failed")
HELD: Text = _(
    "{why}. So it did not go back by itself, as its plan would have it: roll it back, retry the step, "
    "or skip it and say why."
)
# The reasons of what the portal does, where a person's would be in their own words.
BY_ITSELF, ROLLS_OUT, WAITS_TURN = "by_itself", "rolls_out", "waits_turn"
# What the record alone keeps of a pause or an end, without the arguments that the page has.
REASONS: dict[str, Text] = {
    **{code: PAUSES[code] for code in ("approval", "freeze", "errored", "inconclusive")},
    "person": _("Somebody paused it"),
    "stop": _("Somebody stopped it on the way back"),
    "stopped": _("Somebody stopped it"),
    "workload_paused": _("The workload is paused in the cluster: new pods would not come"),
    "workload_held": _("Another rollout was stopped in the middle of its update"),
    "drift": _("Somebody else changed it"),
    "cluster_lost": _("The cluster did not answer any more"),
    "portal_error": _("The portal itself failed"),
    "worker_died": _("Its workers died"),
    "rollback_failed": _("The way back failed"),
    "rolled_back": _("It was rolled back."),
    BY_ITSELF: _("The plan rolls back by itself"),
    ROLLS_OUT: _("A release of the service rolls out"),
    WAITS_TURN: _("It waits for its turn"),
}
# What became of a workload to which an order went.
REACHED: dict[tuple[str, str], Text] = {
    ("hold", "reached"): _("{object} is held where it is"),
    ("hold", "goes_on"): _("{object} cannot be held: its controller goes on"),
    ("let_go", "reached"): _("{object} goes on"),
    ("abort", "reached"): _("{object} is aborted, the stable version takes over again"),
    ("hold", "unreached"): _("{object} could not be paused in the cluster: {message}"),
    ("let_go", "unreached"): _("{object} could not be resumed in the cluster: {message}"),
    ("abort", "unreached"): _("{object} could not be aborted in the cluster: {message}"),
}
LIFTS: Text = _("After that, whoever may operate here can resume.")
EVENTS: dict[str, Text] = {
    "rollout.queued": _("Rollout queued"),
    "rollout.started": _("Rollout began"),
    "rollout.resumed": _("Rollout resumed"),
    "rollout.order_asked": _("{by} asks: {order}"),
    "rollout.order_honoured": _("Done as {by} asked: {order}"),
    "rollout.order_already": _("It was so already when {by} asked: {order}"),
    "rollout.order_refused": _("Not possible as {by} asked: {order}"),
    "rollout.finding_opened": _("Unapproved change found: {service}"),
    "rollout.finding_changed": _("Unapproved change is another one now: {service}"),
    "rollout.finding_ended": _("Unapproved change is over: {service}"),
}
ASKED_FIRST: Text = _("{by} had asked first")
