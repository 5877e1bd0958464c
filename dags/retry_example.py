"""A task that fails on its first try and succeeds on its second: `uv run orch run retry_example`.

`orch task-log retry_example flaky --try 1` shows the traceback of the first try.
"""

from datetime import datetime, timedelta

from orch import DAG, get_current_context, task


@task(retries=2, retry_delay=timedelta(seconds=1))
def flaky() -> int:
    """Fail on try 1, so that the run needs exactly one retry."""
    try_number = get_current_context()["ti"].try_number
    print(f"this is try {try_number}")
    if try_number == 1:
        raise RuntimeError("the first try fails on purpose")
    return try_number


@task
def report(tries: int) -> str:
    """Tell how many tries it took."""
    return f"flaky succeeded on try {tries}"


with DAG("retry_example", schedule=None, start_date=datetime(2024, 1, 1), catchup=False, tags=["example"]):
    report(flaky())
