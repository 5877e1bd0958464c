"""Four years of Seattle weather: from raw rows to a database, a chart and a report.

                +-> yearly --+-> load ---+
    validate ---+            +-> report -+-> checksums -> summary
                +-> monthly -+-> chart --+

Run it with `uv run orch run weather`, then open `dags/out/weather/report.md`. Any task may run again at any
time: it reads what the tasks before it made and replaces its own file as a whole.
"""

import csv
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean

from orch import DAG, Fail, task
from orch_standard import BashOperator, PythonOperator
from weather_chart import draw

HERE = Path(__file__).parent
RAW = Path(os.environ.get("WEATHER_CSV", HERE / "data" / "seattle-weather.csv"))
OUT = Path(os.environ.get("WEATHER_OUT", "dags/out/weather")).absolute()  # from where orch was started
COLUMNS = ["date", "precipitation", "temp_max", "temp_min", "wind", "weather"]


@task
def validate() -> dict:
    """Split the raw rows into clean.csv and rejects.csv, where a bad row keeps its line and gets a reason."""
    clean: dict[str, list] = {}
    rejects: list[list] = []
    with RAW.open(newline="") as file:
        reader = csv.DictReader(file, restval="")
        if reader.fieldnames != COLUMNS:
            raise Fail(f"{RAW} has the columns {reader.fieldnames}, not {COLUMNS}")  # no retry can help
        for row in reader:
            try:
                day = parse(row)
                if day[0] in clean:
                    raise ValueError(f"{day[0]} came before")
                clean[day[0]] = day
            except ValueError as reason:
                print(f"line {reader.line_num} rejected: {reason}")
                rejects.append([reader.line_num, reason, *row.values()])
    write_csv("rejects.csv", ["line", "reason", *COLUMNS], rejects)
    if not clean:
        raise Fail(f"{RAW} has no valid row; {OUT / 'rejects.csv'} says why")
    write_csv("clean.csv", COLUMNS, clean.values())
    return {"days": len(clean), "rejected": len(rejects), "first": min(clean), "last": max(clean)}


@task
def figures(checked: dict, digits: int) -> list[dict]:
    """Summarise the days by the first `digits` characters of their date: 4 make years, 7 make months."""
    periods: dict[str, list[dict]] = {}
    for day in read_csv("clean.csv"):
        periods.setdefault(day["date"][:digits], []).append(day)
    print(f"{checked['days']} days make {len(periods)} periods")
    return [
        {
            "period": period,
            "low": round(fmean(float(day["temp_min"]) for day in days), 1),
            "high": round(fmean(float(day["temp_max"]) for day in days), 1),
            "rain": round(math.fsum(float(day["precipitation"]) for day in days), 1),
        }
        for period, days in sorted(periods.items())
    ]


def load(**tables: list[dict]) -> None:
    """Build weather.sqlite anew: the days, and each of `tables` with its first column as the key."""
    with replacing("weather.sqlite") as path, closing(sqlite3.connect(path)) as database, database:
        for name, rows in {"days": read_csv("clean.csv"), **tables}.items():
            key, *others = rows[0]
            columns = [f"{other} {'TEXT' if other == 'weather' else 'REAL'}" for other in others]
            database.execute(f"CREATE TABLE {name} ({key} TEXT PRIMARY KEY, {', '.join(columns)})")
            marks = ", ".join("?" for _ in rows[0])
            database.executemany(
                f"INSERT INTO {name} VALUES ({marks})", [tuple(row.values()) for row in rows]
            )


@task
def chart(monthly: list[dict]) -> None:
    """Draw chart.svg, the temperature and precipitation of each month."""
    write("chart.svg", draw(monthly))


@task
def report(checked: dict, yearly: list[dict], monthly: list[dict]) -> str:
    """Write report.md and return its headline."""
    wettest, hottest = (max(monthly, key=lambda month: month[figure]) for figure in ("rain", "high"))
    headline = (
        "{days:,} days, {first} to {last}; rejected rows: {rejected}.\n".format(**checked)
        + f"Wettest month: {wettest['period']} with {wettest['rain']} mm. "
        + f"Hottest: {hottest['period']} with a mean high of {hottest['high']} °C."
    )
    table = "| year | mean low °C | mean high °C | precipitation mm |\n|---|---|---|---|\n"
    table += "\n".join("| {period} | {low} | {high} | {rain} |".format(**year) for year in yearly)
    write("report.md", f"# The weather of Seattle\n\n{headline}\n\n![By month](chart.svg)\n\n{table}\n")
    return headline


@task
def summary(headline: str, files: str) -> str:
    """Return what `orch run weather` prints at the end."""
    return f"{headline}\n{files} files in {OUT}; start with report.md."


def parse(row: dict[str, str]) -> list:
    """Return the row with its values typed, or raise ValueError saying why it cannot be true."""
    if None in row:
        raise ValueError(f"more than {len(COLUMNS)} columns")
    day = datetime.strptime(row["date"], "%Y/%m/%d").date().isoformat()
    rain, high, low, wind = numbers = [float(row[column]) for column in COLUMNS[1:5]]
    if not all(map(math.isfinite, numbers)) or rain < 0 or wind < 0:
        raise ValueError("precipitation and wind must be numbers from 0 up")
    if low > high:
        raise ValueError(f"temp_min {low} is above temp_max {high}")
    if row["weather"] not in {"drizzle", "fog", "rain", "snow", "sun"}:
        raise ValueError(f"unknown weather {row['weather']!r}")
    return [day, *numbers, row["weather"]]


@contextmanager
def replacing(name: str) -> Iterator[Path]:
    """Yield a temporary path that becomes `OUT / name` once the block has written all of it."""
    OUT.mkdir(parents=True, exist_ok=True)
    temporary = OUT / f".{name}.{os.getpid()}"
    try:
        yield temporary
        temporary.replace(OUT / name)
    finally:
        temporary.unlink(missing_ok=True)


def write(name: str, text: str) -> None:
    with replacing(name) as path:
        path.write_text(text, encoding="utf-8")


def write_csv(name: str, header: list[str], rows: Iterable[list]) -> None:
    with replacing(name) as path, path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def read_csv(name: str) -> list[dict]:
    with (OUT / name).open(newline="") as file:
        return list(csv.DictReader(file))


with DAG(
    "weather",
    schedule="0 6 * * *",  # each morning at six, UTC
    start_date=datetime(2024, 1, 1),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["example", "report"],
):
    checked = validate()
    yearly = figures.override(task_id="yearly")(checked, digits=4)
    monthly = figures.override(task_id="monthly")(checked, digits=7)
    loaded = PythonOperator(
        task_id="load", python_callable=load, op_kwargs={"years": yearly, "months": monthly}
    )
    drawn = chart(monthly)
    headline = report(checked, yearly, monthly)
    checksums = BashOperator(
        task_id="checksums",
        bash_command="sha256sum *.* > .sums && mv .sums SHA256SUMS && wc -l < SHA256SUMS",
        cwd=str(OUT),
        trigger_rule="all_done",  # also when a part failed: the sums cover whatever is there
        retries=0,
    )
    [loaded, drawn, headline] >> checksums
    [loaded, drawn] >> summary(headline, checksums.output)
