"""Deciding for each other: giving, ending and showing delegations."""
