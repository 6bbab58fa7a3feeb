"""What `quality` and `doctor` look at: one family of checks a module."""
