"""The record: one append-only, hash-chained table of every act."""
