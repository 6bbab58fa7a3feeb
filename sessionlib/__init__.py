"""Read, change, mirror and query the sessions that coding agents keep beside their code."""

__version__ = "0.1.0"
