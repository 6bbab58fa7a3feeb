"""Secrets out of text that is logged or stored."""

from sessionlib.redaction.places import MASK, is_sensitive
from sessionlib.redaction.redactor import Redactor
from sessionlib.redaction.spellings import SHORTEST

__all__ = ["MASK", "SHORTEST", "Redactor", "is_sensitive"]
