"""DAG files: which there are, what they declare (found out in a process of its own), and when they change."""
