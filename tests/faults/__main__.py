"""`python -m tests.faults` writes docs/faults.md."""

from tests.faults.render import DOCUMENT, document

if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
