"""Settings: declared once in `sections`, loaded once at start, handed to the code as frozen sections."""

from orch.settings.declare import Setting
from orch.settings.load import find_home, load_settings
from orch.settings.masking import masked
from orch.settings.sections import (
    SETTINGS,
    CoreSettings,
    DagFilesSettings,
    DatabaseSettings,
    PluginsSettings,
    SchedulerSettings,
    Settings,
    WorkerSettings,
)

__all__ = [
    "SETTINGS",
    "CoreSettings",
    "DagFilesSettings",
    "DatabaseSettings",
    "PluginsSettings",
    "SchedulerSettings",
    "Setting",
    "Settings",
    "WorkerSettings",
    "find_home",
    "load_settings",
    "masked",
]
