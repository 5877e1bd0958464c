"""Executors that run tasks in processes of this machine."""
