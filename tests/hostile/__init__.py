"""Hostile content: a corpus of files made by code, mutations of them, and the real path for both."""
