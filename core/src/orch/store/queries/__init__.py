"""Statements, one module per noun; each takes a transaction and never commits."""
