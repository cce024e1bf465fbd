"""Passwords in addresses, hidden wherever a person or a file could keep them."""

import re

# A run of letters is looked at from its beginning alone: from each of its letters it would take their square.
_IN_ADDRESS = re.compile(r"((?<![\w+.-])[\w+.-]+:/{1,2}[^\s/@:]*|(?<![^\s/@:])[^\s/@:]+(?=:(?!/))):(\S*)@")
_BLANK = re.compile(r"\s")
_WITHOUT_HOST = re.compile(r"((?<![\w+.-])[\w+.-]+:/{1,2}[^\s/@:\[]*):(?!\d*(?:[^\d\w]|$))([^\s/@]+)(?![^\s]*@)")
"""`scheme://user:password` with nothing behind it; a number there is a port."""
_IN_QUERY = re.compile(r"(?i)\b(\w*(?:password|passwd|pwd|token|secret))=([^\s&'\"]+)")
_LONG = re.compile(r"([^\s:=]{0,100})\S{1024,}")
"""Hardly a path or address is as long; of many colons the patterns above take the square, too."""


def masked(text: str) -> str:
    """The text with `user:***@` and `password=***`, however the rest of the address is malformed."""
    text = _LONG.sub(lambda word: f"{word[1]}... ({len(word[0]):,} characters)", text)
    text = _WITHOUT_HOST.sub(r"\1:***", _IN_ADDRESS.sub(r"\1:***@", text))
    return _IN_QUERY.sub(r"\1=***", text)


def shown_address(address: str) -> str:
    """An address by itself, masked: blanks in it are part of it."""
    return masked(_BLANK.sub("%20", address))


def without_parts(text: str, address: str) -> str:
    """A library's words about an address, without what it took a part of the password for (one that holds an @)."""
    for pattern in (_IN_ADDRESS, _WITHOUT_HOST, _IN_QUERY):
        for _, secret in pattern.findall(_BLANK.sub("%20", address)):
            for part in secret.replace("%20", "@").split("@"):
                text = text.replace(part, "***") if len(part) > 2 else text
    return masked(text.replace(address, shown_address(address)))
