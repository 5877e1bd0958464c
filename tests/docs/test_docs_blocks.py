"""The Python blocks of the documentation run: those of one page in order, as one program, in an empty folder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("core/*.md")),
    *sorted(ROOT.glob("providers/*/*.md")),
]
WITH_CODE = {
    str(page.relative_to(ROOT)): page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("name", sorted(WITH_CODE))
def test_python_blocks_of_page_run(name: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall(WITH_CODE[name].read_text(encoding="utf-8"))
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks), encoding="utf-8")
    command = [sys.executable, "-W", "error", str(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{name}:\n{done.stderr}"


def test_readme_shows_a_dag() -> None:
    assert "README.md" in WITH_CODE
