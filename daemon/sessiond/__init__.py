"""The daemon: watches project folders and keeps the database mirror a few milliseconds behind."""
