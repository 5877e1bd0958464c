"""The slim-install check: every wheel, installed in small combinations in clean environments and tried out.

    uv run python -m tests.slim

Core alone must work and must name what is missing; each provider must work with core and nothing else; the
meta-package must bring the lot. Ends with a table of distributions and megabytes; exit code 1 on any finding.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LIMITS = {"core alone": (20, 35.0), "meta-package": (55, 90.0)}
"""Most distributions and megabytes; a limit of the design, not of the installer."""

DAG_THAT_NEEDS_BASH = """
from orch import DAG
from orch_standard import BashOperator
with DAG("needs_bash", schedule=None):
    BashOperator(task_id="hello", bash_command="echo hello")
"""
DAG_OF_CORE = """
from orch import DAG, task
@task
def hello():
    return "hello"
with DAG("needs_an_executor", schedule=None):
    hello()
"""
DAG_THAT_TESTS_ITSELF = """
import sys
from orch import DAG, task
@task
def hello():
    return "hello"
@task
def twice(word):
    return f"{word}, {word}"
with DAG("tests_itself", schedule=None) as dag:
    twice(hello())
def try_out(parallelism):
    print("tested:", dag.test(parallelism=parallelism).raise_for_state().results["twice"])
    foreign = {name.partition(".")[0] for name in sys.modules} & {"sqlalchemy", "alembic", "click", "pluggy", "rich"}
    assert not foreign, f"dag.test() has loaded {foreign}"
"""


@dataclass(frozen=True)
class Member:
    """A distribution of the workspace: its name, import package and wheel."""

    name: str
    package: str
    wheel: Path


class Environment:
    """A clean virtual environment with some wheels in it, and what can be asked of it."""

    def __init__(self, folder: Path, wheels: list[Path], constraints: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder)])
        install = ["uv", "pip", "install", "--quiet", "--python", str(self.bin / "python")]
        run([*install, "--constraint", str(constraints), *map(str, wheels)])

    def python(self, code: str) -> "Answer":
        """Run `code` in this environment."""
        return run([str(self.bin / "python"), "-c", code], cwd=self.folder, check=False)

    def orch(self, *arguments: str) -> "Answer":
        """Run the command `orch` of this environment, with a home of its own."""
        return run([str(self.bin / "orch"), *arguments], cwd=self.folder, check=False)

    def distributions(self) -> int:
        """Return how many distributions are installed."""
        return len(list(self.folder.glob("lib/python*/site-packages/*.dist-info")))

    def megabytes(self) -> float:
        """Return the size of the installed files, without compiled caches."""
        files = (path for path in self.folder.glob("lib/python*/site-packages/**/*") if path.is_file())
        return sum(path.stat().st_size for path in files if path.suffix != ".pyc") / 1_000_000


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams."""
        return self.out + self.err


def main() -> int:
    """Run every check, print the table and return the exit code."""
    findings: list[str] = []
    rows: list[tuple[str, int, float]] = []
    with tempfile.TemporaryDirectory(prefix="orch-slim-") as name:
        folder = Path(name)
        members = build(folder / "wheels")
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(pins()) + "\n")
        for title, wheels, check in combinations(members):
            print(f"-- {title}", flush=True)
            environment = Environment(folder / re.sub(r"\W+", "-", title), wheels, constraints)
            findings += [f"{title}: {finding}" for finding in check(environment)]
            rows.append((title, environment.distributions(), environment.megabytes()))
    print(f"\n{'installed':<28} {'distributions':>13} {'MB':>7}")
    for title, count, size in rows:
        print(f"{title:<28} {count:>13} {size:>7.1f}")
        most, largest = LIMITS.get(title, (count, size))
        if count > most or size > largest:
            findings.append(f"{title}: more than {most} distributions or {largest} MB")
    print(
        "\n".join(["", *findings])
        if findings
        else "\nevery installation works with what it has and names what it lacks"
    )
    return 1 if findings else 0


def combinations(
    members: list[Member],
) -> Iterator[tuple[str, list[Path], Callable[[Environment], Iterator[str]]]]:
    """Yield a title, the wheels to install and the check of each installation."""
    core = next(member for member in members if member.name == "orch-core")
    providers = [member for member in members if member.name not in {"orch", "orch-core"}]
    yield "core alone", [core.wheel], partial(check_core, providers)
    for provider in providers:
        wheels = [core.wheel, provider.wheel]
        yield f"core + {provider.name}", wheels, partial(check_provider, provider)
    yield "meta-package", [member.wheel for member in members], check_meta


def check_core(providers: list[Member], environment: Environment) -> Iterator[str]:
    """Yield what is wrong with core alone."""
    if (answer := environment.orch("--help")).code != 0 or "Usage" not in answer.text:
        yield f"`orch --help` ended with {answer.code}: {answer.text}"
    if (answer := environment.python("import orch; orch.DAG; orch.task")).code != 0:
        yield f"`import orch` failed: {answer.text}"
    for parallelism in (1, 4):
        answer = environment.python(f"{DAG_THAT_TESTS_ITSELF}\ntry_out({parallelism})")
        if answer.code != 0 or "tested: hello, hello" not in answer.out:
            yield f"`dag.test(parallelism={parallelism})` ended with {answer.code}: {answer.text}"
    for provider in providers:
        if environment.python(f"import {provider.package}").code == 0:
            yield f"{provider.package} can be imported although only core is installed"
    dags = environment.folder / "dags"
    dags.mkdir()
    for dag_id, source, missing in (
        ("needs_bash", DAG_THAT_NEEDS_BASH, "pip install orch-standard"),
        ("needs_an_executor", DAG_OF_CORE, "pip install orch-local"),
    ):
        (dags / f"{dag_id}.py").write_text(source)
        answer = environment.orch("run", dag_id, "--dags", str(dags))
        if answer.code == 0 or missing not in answer.text or "Traceback" in answer.text:
            yield f"`orch run {dag_id}` ended with {answer.code}, not simply with {missing!r}: {answer.text}"


def check_provider(provider: Member, environment: Environment) -> Iterator[str]:
    """Yield what is wrong with core and one provider."""
    if (answer := environment.python(f"import {provider.package}, {provider.package}.plugin")).code != 0:
        yield f"cannot be imported: {answer.text}"
    answer = environment.orch("plugins", "--json")
    short = provider.name.removeprefix("orch-")
    states = {entry["name"]: entry["state"] for entry in json.loads(answer.out)} if answer.code == 0 else {}
    if states.get(short) != "ok":
        yield f"`orch plugins` does not call {short!r} ok: {answer.text}"


def check_meta(environment: Environment) -> Iterator[str]:
    """Yield what is wrong with the meta-package: a newcomer's first run, from wheels."""
    dags = environment.folder / "dags"
    dags.mkdir()
    (dags / "needs_bash.py").write_text(DAG_THAT_NEEDS_BASH)
    if (answer := environment.orch("run", "needs_bash")).code != 0:
        yield f"`orch run` ended with {answer.code}: {answer.text}"


def build(folder: Path) -> list[Member]:
    """Build the wheel of every member of the workspace and return the members."""
    print("-- wheels of every package", flush=True)
    run(["uv", "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(folder)])
    members = []
    for pyproject in [
        ROOT / "pyproject.toml",
        ROOT / "core/pyproject.toml",
        *sorted(ROOT.glob("providers/*/pyproject.toml")),
    ]:
        content = tomllib.loads(pyproject.read_text())
        name = content["project"]["name"]
        [wheel] = folder.glob(f"{name.replace('-', '_')}-*.whl")
        package = content["tool"]["uv"]["build-backend"]["module-name"]
        members.append(Member(name, package if isinstance(package, str) else "", wheel))
    return members


def pins() -> list[str]:
    """Return the tested versions of everything else."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return list(content["tool"]["uv"]["constraint-dependencies"])


def run(command: list[str], *, cwd: Path = ROOT, check: bool = True) -> Answer:
    """Run a command without the settings of the caller; a failure of one that must work ends the check."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ORCH_", "VIRTUAL_ENV", "PYTHON"))
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=kept,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return Answer(done.returncode, done.stdout, done.stderr)


if __name__ == "__main__":
    sys.exit(main())
