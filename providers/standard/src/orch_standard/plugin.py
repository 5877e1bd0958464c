"""The plugin: names the operators of this package."""

from collections.abc import Sequence

from orch.hookspecs import OperatorSpec, hookimpl


@hookimpl
def register_operators() -> Sequence[OperatorSpec]:
    """Name the operators of this package."""
    return (
        OperatorSpec(name="BashOperator", import_path="orch_standard.bash:BashOperator"),
        OperatorSpec(name="EmptyOperator", import_path="orch_standard.empty:EmptyOperator"),
        OperatorSpec(name="PythonOperator", import_path="orch_standard:PythonOperator"),
    )
