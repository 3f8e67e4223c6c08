"""Pages of the top layer: inbox, board, services, rollouts; thin doors to operations and queries."""
