"""The reset of a task process: what is put back to how it was before its first task, after each one."""
