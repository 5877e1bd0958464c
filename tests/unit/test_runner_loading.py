"""Loading: DAG files as the task's host imports them."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orch.errors import NotFound
from orch.runner.command import TaskCommand
from orch.runner.loading import find_task, load_dags, load_task

DAG_FILE = """
from orch import DAG, task
from {helper} import NAME
@task
def work():
    return NAME
with DAG("{dag_id}"):
    work()
"""


@pytest.fixture
def dags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "path_hooks", [*sys.path_hooks])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, name: str, helper: str = "load_helper", dag_id: str = "x") -> str:
    (folder / f"{helper}.py").write_text("NAME = 'one'\n")
    path = folder / name
    path.write_text(DAG_FILE.format(helper=helper, dag_id=dag_id))
    return str(path)


def test_a_file_gives_its_dags_and_may_import_its_neighbours(dags: Path) -> None:
    [made] = load_dags(write(dags, "x.py"), str(dags))
    assert (made.dag_id, made.file) == ("x", str(dags / "x.py"))
    assert made.get_task("work").execute({}) == "one"


def test_an_edited_file_is_read_anew_and_nothing_is_cached_on_disk(dags: Path) -> None:
    file = write(dags, "x.py")
    load_dags(file, str(dags))
    write(dags, "x.py", dag_id="y")  # as long as before, within the same second
    assert [made.dag_id for made in load_dags(file, str(dags))] == ["y"]
    assert not list(dags.rglob("__pycache__"))


def test_a_file_may_have_any_name(dags: Path) -> None:
    assert load_dags(write(dags, "json.py"), str(dags))
    assert load_dags(write(dags, "my dag-2.py"), str(dags))
    assert "json.py" not in str(sys.modules["json"])


def test_one_task_is_found(dags: Path) -> None:
    file = write(dags, "x.py")
    assert load_task(file, str(dags), "x", "work").task_id == "work"
    command = TaskCommand(
        ti_id=1,
        epoch=1,
        nonce="",
        dag_id="x",
        run_id="r",
        task_id="work",
        dag_file=file,
        dags_folder=str(dags),
    )
    assert find_task(load_dags(file, str(dags)), command).task_id == "work"
    with pytest.raises(
        NotFound, match=r"'x' has no task 'wrk'; did you mean 'work'\?\. The run was created when .*x\.py"
    ):
        find_task(load_dags(file, str(dags)), replace(command, task_id="wrk"))


def test_a_dag_or_task_that_is_gone_is_named(dags: Path) -> None:
    file = write(dags, "x.py", dag_id="weather")
    with pytest.raises(NotFound, match=r"x\.py defines no DAG 'wether'; did you mean 'weather'\?"):
        load_task(file, str(dags), "wether", "work")
    with pytest.raises(NotFound, match="DAG 'weather' has no task 'gone'"):
        load_task(file, str(dags), "weather", "gone")


def test_what_a_file_raises_passes_and_leaves_no_half_module(dags: Path) -> None:
    (dags / "broken.py").write_text("import sys\nsys.exit(3)\n")
    before = set(sys.modules)
    with pytest.raises(SystemExit):
        load_dags(str(dags / "broken.py"), str(dags))
    assert set(sys.modules) == before


def test_another_dag_file_that_is_imported_keeps_its_dags(dags: Path) -> None:
    write(dags, "load_other.py", dag_id="other")
    (dags / "x.py").write_text("import load_other\nfrom orch import DAG\nDAG('x')\n")
    assert [made.dag_id for made in load_dags(str(dags / "x.py"), str(dags))] == ["x"]


@pytest.fixture
def layout(dags: Path) -> Path:
    """A layout with the code of `live`, whose folder `plug` had none when it was made."""
    for folder in ("live/plug", "layout/pkg"):
        (dags / folder).mkdir(parents=True)
    made = dags / "layout"
    (made / "plug").symlink_to(dags / "live/plug")
    (made / "alias").symlink_to("pkg")
    (made / "pkg/stored.py").write_text("NAME = 'stored'\n")
    return made


def importing(layout: Path, statement: str) -> list[str]:
    (layout / "x.py").write_text(f"{statement}\nfrom orch import DAG\nDAG('x')\n")
    live = layout.parent / "live"
    return [made.dag_id for made in load_dags(str(live / "x.py"), str(live), str(layout))]


@pytest.mark.parametrize("name", ["extra.py", "extra.abi3.so", "extra/__init__.py"])
def test_code_that_came_into_a_live_folder_is_not_found(layout: Path, name: str) -> None:
    file = layout / "plug" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    with pytest.raises(ModuleNotFoundError, match=r"plug\.extra"):
        importing(layout, "import plug.extra")
    with pytest.raises(ModuleNotFoundError, match="extra"):
        importing(layout, "import sys; sys.path.append(__file__[:-4] + 'plug'); import extra")
    assert importing(
        layout, "import pkgutil, plug; assert not list(pkgutil.iter_modules(plug.__path__))"
    ) == ["x"]


def test_a_live_folder_that_became_a_package_stays_a_folder_of_data(layout: Path) -> None:
    (layout / "plug/__init__.py").write_text("1 / 0")
    (layout / "plug/in.csv").write_text("1")
    text = "import plug; from importlib.resources import files; assert files('plug').joinpath('in.csv').is_file()"
    assert importing(layout, text) == ["x"]


def test_a_stored_module_is_not_hidden_by_a_folder_that_came_later(layout: Path) -> None:
    (layout / "plug.py").write_text("NAME = 'stored'\n")
    (layout / "plug/__init__.py").write_text("NAME = 'live'\n")
    assert importing(layout, "import plug; assert plug.NAME == 'stored'") == ["x"]


def test_stored_code_is_found_by_a_second_way_to_its_folder(layout: Path) -> None:
    assert importing(layout, "import alias.stored, pkg.stored; assert alias.stored.NAME == 'stored'") == ["x"]


@pytest.mark.parametrize("folder", ["site-packages", ".lib", "env/lib"])
def test_code_that_is_never_stored_is_found_where_it_is(layout: Path, dags: Path, folder: str) -> None:
    top = folder.partition("/")[0]
    (dags / "live" / folder).mkdir(parents=True)
    (dags / "live/env").mkdir(exist_ok=True)
    (dags / "live/env/pyvenv.cfg").write_text("")
    (dags / "live" / folder / "load_vendored.py").write_text("")
    (layout / top).symlink_to(dags / "live" / top)
    assert importing(
        layout, f"import sys; sys.path.append(__file__[:-4] + '{folder}'); import load_vendored"
    ) == ["x"]
