"""Alembic's folder: one numbered file per change of the schema."""
