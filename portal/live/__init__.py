"""Progress to browsers: numbered events, committed before they are sent, replayed by number."""
