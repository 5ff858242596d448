from typing import Any

class FSMap:
    fs: Any
    root: str
    getitems: Any
