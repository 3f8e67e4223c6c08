"""The helm program, its charts and what they render."""
