"""Faults done to the real daemon, and an oracle that knows none of its code; `README.md` says which."""
