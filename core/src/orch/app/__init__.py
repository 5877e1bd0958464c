"""The composition root: settings become plugins, a store, services and components; nothing else builds them.

Commands that only read import `home` and `reader`, which do without the libraries that take long to import.
"""
