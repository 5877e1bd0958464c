"""The command line: each command parses, calls one operation or service, and renders."""
