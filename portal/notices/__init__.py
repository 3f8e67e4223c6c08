"""How each person wants to be told: at once, in a digest or on the pages only, and not in quiet hours."""
