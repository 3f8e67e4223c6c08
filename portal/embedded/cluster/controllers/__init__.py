"""The controllers: each watches its kinds and brings what is closer to what is wanted."""
