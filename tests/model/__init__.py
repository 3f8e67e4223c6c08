"""The rules once more, written from the specification, to compare the product with on random histories."""
