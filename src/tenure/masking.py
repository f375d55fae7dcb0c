"""Takes secrets out of text that leaves the process: messages, logs, reports, ledger rows."""

from __future__ import annotations

import re

_URL_PASSWORD = re.compile(r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*):(?P<secret>[^@/\s]+)@")
_KEY_VALUE = re.compile(
    r"(?i)(?P<head>\b(?:password|passwd|pwd|api[-_]?key|token|secret)\s*[=:]\s*)(?P<secret>[^\s&,;'\"]+)"
)

MASK = "***"
_known: set[str] = set()


def remember_secret(value: str | None) -> None:
    """Mask *value* wherever it turns up from now on; shorter than four characters would mask ordinary words."""
    if value and len(value) >= 4:
        _known.add(value)


def forget_secrets() -> None:
    """Forget every remembered secret: a process that opens one playbook after another starts afresh."""
    _known.clear()


def mask_secrets(text: str) -> str:
    """Return *text* without passwords in URLs and key=value pairs, and without any remembered secret."""
    text = _URL_PASSWORD.sub(rf"\g<head>:{MASK}@", text)
    text = _KEY_VALUE.sub(rf"\g<head>{MASK}", text)
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
