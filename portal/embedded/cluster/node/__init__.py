"""The node that pretends: it schedules, pulls, starts and ends pods, and lets them fail as asked."""
