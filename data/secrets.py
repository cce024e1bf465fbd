"""Passwords in addresses, hidden wherever a person or a file could keep them."""

import re

_IN_ADDRESS = re.compile(r"(\w[\w+.-]*:/{1,2}[^\s/@:]*|[^\s/@:]+(?=:(?!/))):(\S*)@")
_IN_QUERY = re.compile(r"(?i)\b(password|passwd|pwd|token|secret)=[^\s&'\"]+")


def masked(text: str) -> str:
    """The text with `user:***@` and `password=***`, however the rest of the address is malformed."""
    return _IN_QUERY.sub(r"\1=***", _IN_ADDRESS.sub(r"\1:***@", text))


def without_parts(text: str, address: str) -> str:
    """A library's words about an address, without what it took a part of the password for (one that holds an @)."""
    for _, secret in _IN_ADDRESS.findall(address):
        for part in secret.split("@"):
            text = text.replace(part, "***") if len(part) > 2 else text
    return masked(text)
