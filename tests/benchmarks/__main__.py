"""`python -m tests.benchmarks [CASE ...]`: one JSON line a case, after the bytecode has been compiled."""

import json
import platform
import sys

from tests.benchmarks.cases import CASES
from tests.benchmarks.server import compile_everything


def main(names: list[str]) -> int:
    """Run the named cases, or all."""
    unknown = [name for name in names if name not in CASES]
    if unknown:
        print(f"unknown case {unknown[0]!r}; known: {', '.join(CASES)}", file=sys.stderr)
        return 2
    compile_everything()
    print(json.dumps({"machine": platform.machine(), "python": platform.python_version()}), flush=True)
    for name in names or CASES:
        print(json.dumps({"case": name, **CASES[name]()}), flush=True)
    return 0


sys.exit(main(sys.argv[1:]))
