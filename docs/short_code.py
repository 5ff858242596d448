"""For mkdocs: marks code within a text that is shorter than a line, for the style sheet to keep it whole."""

from __future__ import annotations

import re
from typing import Any

# A line of a narrow screen has room for 38 characters behind a bullet.
_CODE = re.compile(r"(?<!<pre>)<code>((?:[^<&]|&\w+;){1,38})</code>")


def on_page_content(html: str, **_given: Any) -> str:
    """`html` with the class "short" at such code."""
    return _CODE.sub(r'<code class="short">\1</code>', html)
