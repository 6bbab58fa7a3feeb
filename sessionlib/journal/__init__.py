"""Append-only sources: the spool of hooks, and what they say. Knows no database."""
