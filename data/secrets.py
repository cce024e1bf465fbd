"""Passwords in addresses, hidden wherever a person or a file could keep them."""

import re

_IN_ADDRESS = re.compile(r"(?<=://)([^\s/@:]*):\S*@")
_IN_QUERY = re.compile(r"(?i)\b(password|passwd|pwd|token|secret)=[^\s&'\"]+")


def masked(text: str) -> str:
    """The text with `user:***@` and `password=***`, however the rest of the address is malformed."""
    return _IN_QUERY.sub(r"\1=***", _IN_ADDRESS.sub(r"\1:***@", text))
