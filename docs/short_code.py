"""For mkdocs: marks code within a text that is shorter than a line, for the style sheet to keep it whole."""

from __future__ import annotations

import re
from typing import Any

# A line of a narrow screen has room for 38 characters behind a bullet.
_SHORT = re.compile(r"(?:[^<&]|&\w+;){1,38}")
_WORD = re.compile(r"(?:[^<&\s]|&\w+;)+")
_CODE = re.compile(r"(?<!<pre>)<code>([^<]+)</code>")


def on_page_content(html: str, **_given: Any) -> str:
    """`html` with the class "short" at such code, and at each such word of longer code."""
    return _CODE.sub(_marked, html)


def _marked(code: re.Match[str]) -> str:
    if _SHORT.fullmatch(code[1]):
        return f'<code class="short">{code[1]}</code>'
    return f"<code>{_WORD.sub(_marked_word, code[1])}</code>"


def _marked_word(word: re.Match[str]) -> str:
    return f'<span class="short">{word[0]}</span>' if _SHORT.fullmatch(word[0]) else word[0]
