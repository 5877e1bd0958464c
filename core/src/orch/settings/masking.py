"""Masking: values of settings as they may be shown, without passwords."""

import re

_SECRET_NAME = re.compile(r"password|passwd|secret|token|private_key|api_key", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)([^:@/?#]*):.*@", re.DOTALL)
_URL_OPTION = re.compile(r"([?&][^=&]*(?:password|passwd|secret|token)[^=&]*=)[^&#]*", re.IGNORECASE)
MASK = "***"


def masked(name: str, value: object) -> object:
    """Return the value without secrets: nothing when `name` sounds secret, a URL without its passwords."""
    if _SECRET_NAME.search(name):
        return MASK if value else value
    if isinstance(value, str) and "://" in value:
        return _URL_OPTION.sub(rf"\1{MASK}", _URL_PASSWORD.sub(rf"\1:{MASK}@", value))
    return value
