"""Configuration: option, then environment, then credential, then file, then default.

The file is TOML. Unknown keys are refused, and every error names the file, the key and what is allowed.
Nothing is read at import.
"""

from sessionlib.config.describing import Setting, describe
from sessionlib.config.loading import COMMAND_LINE, CREDENTIALS_VARIABLE, load
from sessionlib.config.machine import HOST_VARIABLE
from sessionlib.config.reloading import reloaded
from sessionlib.config.sections import (
    Address,
    ControlConfig,
    DaemonConfig,
    DatabaseConfig,
    LogConfig,
    ModelPrice,
    SyncConfig,
    TrackingConfig,
    WatchConfig,
)
from sessionlib.config.settings import DEFAULTS, Config, sections
from sessionlib.config.urls import DATABASE_VARIABLE, masked, names_no_host, passwords_in, refuse_password
from sessionlib.locations import CONFIG_VARIABLE, RUNTIME_VARIABLE, STATE_VARIABLE, default_config_path

__all__ = [
    "COMMAND_LINE",
    "CONFIG_VARIABLE",
    "CREDENTIALS_VARIABLE",
    "DATABASE_VARIABLE",
    "DEFAULTS",
    "HOST_VARIABLE",
    "RUNTIME_VARIABLE",
    "STATE_VARIABLE",
    "Address",
    "Config",
    "ControlConfig",
    "DaemonConfig",
    "DatabaseConfig",
    "LogConfig",
    "ModelPrice",
    "Setting",
    "SyncConfig",
    "TrackingConfig",
    "WatchConfig",
    "default_config_path",
    "describe",
    "load",
    "masked",
    "names_no_host",
    "passwords_in",
    "refuse_password",
    "reloaded",
    "sections",
]
