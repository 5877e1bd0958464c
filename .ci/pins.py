"""Refresh `[tool.uv] constraint-dependencies`: resolve anew without them and write down what came out."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
BLOCK = re.compile(r"(?m)^constraint-dependencies = \[\n(?:    .*\n)*\]\n")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;]+)")


def main() -> int:
    """Rewrite the block; when the resolver fails, put the old one back and return its exit code."""
    before = PYPROJECT.read_text(encoding="utf-8")
    if len(BLOCK.findall(before)) != 1:
        sys.stderr.write(f"{PYPROJECT} needs exactly one constraint-dependencies block, one entry a line\n")
        return 2
    try:
        PYPROJECT.write_text(BLOCK.sub(block([]), before), encoding="utf-8")
        uv("lock", "--upgrade")
        exported = uv(
            "export", "--all-packages", "--all-groups", "--no-emit-workspace", "--no-hashes", "--frozen"
        )
    except subprocess.CalledProcessError as error:
        PYPROJECT.write_text(before, encoding="utf-8")
        sys.stderr.write(error.stderr)
        return error.returncode
    pins = read_pins(exported)
    PYPROJECT.write_text(BLOCK.sub(block(pins), before), encoding="utf-8")
    sys.stdout.write(f"{len(pins)} versions pinned in {PYPROJECT}\n")
    return 0


def read_pins(exported: str) -> list[str]:
    """Return `name==version` of each package; one that needs several versions at once stays free."""
    versions: dict[str, set[str]] = defaultdict(set)
    for line in exported.splitlines():
        if match := PIN.match(line):
            versions[match[1].lower()].add(match[2])
    return [f"{name}=={min(found)}" for name, found in sorted(versions.items()) if len(found) == 1]


def block(pins: list[str]) -> str:
    """Return the lines of the block."""
    return "constraint-dependencies = [\n" + "".join(f'    "{pin}",\n' for pin in pins) + "]\n"


def uv(*arguments: str) -> str:
    """Run uv beside pyproject.toml and return what it prints."""
    done = subprocess.run(
        ["uv", *arguments], cwd=PYPROJECT.parent, check=True, capture_output=True, text=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
