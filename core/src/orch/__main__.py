"""`python -m orch` is the `orch` command."""

from orch.cli.main import main

if __name__ == "__main__":
    main()
