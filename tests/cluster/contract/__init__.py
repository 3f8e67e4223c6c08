"""What the portal relies on in Kubernetes, asked of the practice cluster and a real one alike."""
