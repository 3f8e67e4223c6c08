"""API v1's shell: authentication, paging, problems, idempotency; routes belong to the apps."""
