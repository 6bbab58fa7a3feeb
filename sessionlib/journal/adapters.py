"""The adapters of the clients that are supported, by name."""

from sessionlib.journal.adapter import Adapter
from sessionlib.journal.claude_code.adapter import ClaudeCode

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (ClaudeCode(),)}
