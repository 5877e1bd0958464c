"""The in-process runner: one run in threads of this process, without database and files; behind `DAG.test()`."""
