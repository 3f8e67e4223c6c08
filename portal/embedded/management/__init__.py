"""Management commands of the embedded parts."""
