"""When something may begin: recurring windows, one-time freezes, and the line that somebody stopped."""
