"""Plain HTTP calls to addresses an administrator allowed."""
