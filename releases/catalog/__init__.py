"""Services, environments, plans, checklists and connections; read from and written to files."""
