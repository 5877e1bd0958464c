"""Identifiers: which texts are allowed, and how random ones are made."""

import os
import re
import secrets

from orch.errors import BadInput

MAX_ID_LENGTH = 250
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-:+~]*")
RESERVED_RUN_PREFIXES = ("scheduled__", "backfill__", "asset__")


def check_id(kind: str, text: object) -> str:
    """Return `text` when it may name a dag or task; raise BadInput otherwise. Ids are safe in paths and URLs."""
    return _check(kind, text, _ID, "letters, digits, '_', '-' and '.'")


def check_run_id(text: object, *, manual: bool = True) -> str:
    """Return `text` when it may name a run; a manual one must not look like one that orch makes itself."""
    run_id = _check("run", text, _RUN_ID, "letters, digits and any of _ - . : + ~")
    if manual and run_id.startswith(RESERVED_RUN_PREFIXES):
        prefix = run_id.split("__", 1)[0]
        raise BadInput(f"run id {run_id!r} starts with the reserved prefix '{prefix}__'; choose another one")
    return run_id


def _check(kind: str, text: object, pattern: re.Pattern[str], allowed: str) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise BadInput(f"{kind} id {text!r} is not allowed: use {allowed}, not starting with a sign")
    if len(text) > MAX_ID_LENGTH:
        raise BadInput(f"{kind} id {text[:20]!r}... has {len(text)} characters; {MAX_ID_LENGTH} are allowed")
    return text


def new_nonce() -> str:
    """Return 128 random bits as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def new_incarnation(role: str) -> str:
    """Return a name that no other process, now or later, has: `scheduler-4711-9f2c61d0`."""
    return f"{role}-{os.getpid()}-{secrets.token_hex(4)}"
