"""The operators everyone expects: `from orch_standard import BashOperator, EmptyOperator, PythonOperator`.

Names are imported when they are first used, so that loading the plugin stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orch import PythonOperator
    from orch_standard.bash import BashOperator
    from orch_standard.empty import EmptyOperator

__all__ = ["BashOperator", "EmptyOperator", "PythonOperator"]

_HOMES = {
    "BashOperator": "orch_standard.bash",
    "EmptyOperator": "orch_standard.empty",
    "PythonOperator": "orch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'orch_standard' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next use does not come here
    return value
