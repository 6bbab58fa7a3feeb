"""The points of docs/security.md that no other test proves."""
