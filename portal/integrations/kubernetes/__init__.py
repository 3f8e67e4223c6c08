"""One Kubernetes cluster as the portal sees it: raw reads, guarded writes, verdicts on rollouts."""
