"""Watching: which folders may have changed, told as hints. Selective; polling where events cannot be had.

`watcher` is the facade. `observer` reads the kernel, `digest` turns a batch of raw events into rings, `tree`
holds an entry's watched folders, `tender` and `upkeep` look after what events cannot tell.
"""
