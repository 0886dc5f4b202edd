"""Configuration: defaults < user file < project file < environment < flags. The sole reader of the environment.

Each value remembers where it came from.
"""

from coiled_runtime_cli.config.build_table import BUILD_KEYS, BuildSettings, build_settings
from coiled_runtime_cli.config.database import artifacts, sqlite_file
from coiled_runtime_cli.config.files import user_file
from coiled_runtime_cli.config.home_folders import aws_files, conda_cache
from coiled_runtime_cli.config.loading import choose_files, load
from coiled_runtime_cli.config.passwords import masked
from coiled_runtime_cli.config.settings import COMMAND_TABLES, KEYS, TABLES, Config
from coiled_runtime_cli.config.shell import Completion, completion, completion_requested, login_shell, shell_folders
from coiled_runtime_cli.config.sync_table import SYNC_KEYS, Remote, remote
from coiled_runtime_cli.config.terminal import force_color, no_color, terminal_columns
from coiled_runtime_cli.config.toml import parse_toml, read_toml
from coiled_runtime_cli.config.variables import HISTORIC, environment
from coiled_runtime_cli.config.workflow import GitHub, github

__all__ = [
    "BUILD_KEYS",
    "COMMAND_TABLES",
    "HISTORIC",
    "KEYS",
    "SYNC_KEYS",
    "TABLES",
    "BuildSettings",
    "Completion",
    "Config",
    "GitHub",
    "Remote",
    "artifacts",
    "aws_files",
    "build_settings",
    "choose_files",
    "completion",
    "completion_requested",
    "conda_cache",
    "environment",
    "force_color",
    "github",
    "load",
    "login_shell",
    "masked",
    "no_color",
    "parse_toml",
    "read_toml",
    "remote",
    "shell_folders",
    "sqlite_file",
    "terminal_columns",
    "user_file",
]
