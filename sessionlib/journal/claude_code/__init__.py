"""Claude Code: how its hooks are registered, what they say, and what its transcripts say."""
