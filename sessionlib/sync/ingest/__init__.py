"""The bridge from journals to the execution tables: what hooks and transcripts say becomes rows, each once.

Facts are folded into drafts, drafts are joined with what is stored, rows follow from them, and how far the
journal was read is committed in the same transaction. Joining takes the least or the greatest of two
observations, so the order in which they come, and how often, makes no difference.
"""
