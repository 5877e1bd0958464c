"""The worker: claims attempts from the database, runs each in a task process, reports how it ended."""
