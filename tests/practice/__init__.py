"""Tests of the practice cluster as a process: through kubectl, the Python client and plain HTTP."""
