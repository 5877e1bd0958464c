"""One file per command; nothing here is imported before its command is used."""
