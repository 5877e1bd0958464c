"""What authors write: DAGs, operators, TaskFlow functions, and the edges between tasks."""
