"""Runs migrations on the connection, and inside the transaction, that `orch.store.migrate` has opened."""

from alembic import context

from orch.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=metadata, transactional_ddl=False, render_as_batch=True
)
context.run_migrations()
