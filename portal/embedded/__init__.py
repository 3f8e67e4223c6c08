"""What the run command brings along: supervisor, PostgreSQL, Valkey, the practice cluster, demo people."""
