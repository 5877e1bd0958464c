"""EmptyOperator: a task without work, to gather or fan out edges."""

from collections.abc import Mapping
from typing import Any, ClassVar

from orch import BaseOperator


class EmptyOperator(BaseOperator):
    """Does nothing; it is there for its edges and its trigger rule."""

    does_nothing: ClassVar[bool] = True

    def execute(self, context: Mapping[str, Any]) -> None:
        """Do nothing."""
