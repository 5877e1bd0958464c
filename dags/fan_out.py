"""One task, then a thousand at once, then one that adds up: `uv run orch run fan_out`."""

from datetime import datetime

from orch import DAG, task
from orch_standard import EmptyOperator

WIDTH = 1_000


@task
def square(number: int) -> int:
    """Return the square of `number`."""
    return number * number


@task
def total(squares: list[int]) -> int:
    """Add up; the sum of the squares below 1,000 is 332,833,500."""
    return sum(squares)


with DAG("fan_out", schedule=None, start_date=datetime(2024, 1, 1), catchup=False, tags=["example"]):
    start = EmptyOperator(task_id="start")
    squares = [square.override(task_id=f"square_{number:03}")(number) for number in range(WIDTH)]
    start >> squares
    total(squares)
