"""S3's XML documents: bytes in, elements out. No I/O.

No name spaces, since stores differ in whether they send one, and for which elements; no DTD, since entities
could blow up, and S3 sends none. What is not the document that was expected is a ProtocolError: it would be
read as an empty one.
"""

from __future__ import annotations

import encodings.utf_8_sig  # noqa: F401 - not by the first thread that decodes: see `_http.connect`
import re
import sys
from typing import TYPE_CHECKING

from .._forks import importing
from ..errors import GuardedS3Error, OperationUnsupportedError, ProtocolError

if TYPE_CHECKING:
    from xml.etree import ElementTree  # at run time where there is a document


_PARSER = "xml.etree.ElementTree"


def is_loaded() -> bool:
    """Whether the parser is there already: loading it takes some milliseconds, once in a process."""
    return _PARSER in sys.modules


def load() -> None:
    """Load the parser, while something else takes its time."""
    with importing():
        import xml.etree.ElementTree  # noqa: F401


def decoded(body: bytes) -> str:
    """The text of a document in UTF-8. ProtocolError for other encodings: they could hide a DTD."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProtocolError("the store sent XML that is not UTF-8") from error


def root_of(body: bytes) -> ElementTree.Element:
    """The root element of a document, without name spaces. Raises ProtocolError for what is none."""
    return parsed(decoded(body))


def parsed(text: str) -> ElementTree.Element:
    """The root element of a document that was decoded, without name spaces. Raises ProtocolError."""
    root = tree_of(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def tree_of(text: str) -> ElementTree.Element:
    """The root element of a document as it stands. ProtocolError for a DTD, and for what cannot be parsed."""
    if _PAGE.match(text):
        raise ProtocolError("an HTML page came where a document of the store was expected")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ProtocolError("the store sent XML with a DTD")
    with importing():
        from xml.etree import ElementTree
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        base = _free_block(text) if _UNWRITABLE.search(text) else None
        if base is None:
            raise ProtocolError(f"the store sent XML that cannot be parsed: {error}") from error
    try:
        root = ElementTree.fromstring(_UNWRITABLE.sub(lambda found: chr(base + _code(found)), text))
    except ElementTree.ParseError as error:
        raise ProtocolError(f"the store sent XML that cannot be parsed: {error}") from error
    back = {base + code: code for code in range(_BLOCK)}
    for element in root.iter():
        element.text = element.text.translate(back) if element.text else element.text
    return root


_PAGE = re.compile(r"\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)

# What XML 1.0 (2.2) has no way to write, as it stands or as a reference: Ceph RGW sends keys with such so.
_UNWRITABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
    r"|&#(?:0*([0-8]|1[124-9]|2[0-9]|3[01])|[xX]0*([0-8bcefBCEF]|1[0-9a-fA-F]));"
)
_BLOCK = 32


def _code(found: re.Match[str]) -> int:
    """The control character that was found."""
    decimal, hexadecimal = found.groups()
    return int(decimal) if decimal else int(hexadecimal, 16) if hexadecimal else ord(found[0])


def _free_block(text: str) -> int | None:
    """The first of characters for private use that can stand for control characters in `text`."""
    used = {(ord(char) - 0xE000) // _BLOCK for char in text if "\ue000" <= char <= "\uf8ff"}
    return next((0xE000 + n * _BLOCK for n in range(0x1900 // _BLOCK) if n not in used), None)


def result(body: bytes, operation: str) -> ElementTree.Element:
    """The root element of the answer to `operation`. Raises ProtocolError for any other document."""
    return named(root_of(body), operation)


def named(root: ElementTree.Element, operation: str) -> ElementTree.Element:
    """`root`, if it is that of the answer to `operation`. Raises ProtocolError for any other."""
    if root.tag.removesuffix("Result").removesuffix("Response") != operation:  # moto: ListPartsResponse
        raise another_than(root, f"{operation}Result")
    return root


def another_than(root: ElementTree.Element, name: str) -> GuardedS3Error:
    """The error for a document that is not <`name`>.

    A list of objects is the answer of a store that ignores what the query asks for: to ask again is no use.
    """
    if root.tag == "ListBucketResult":
        return OperationUnsupportedError(
            f"the store does not know this operation: it answered with a list of objects, not with <{name}>"
        )
    return ProtocolError(f"the store answered <{root.tag}> where <{name}> was expected")


def text_of(element: ElementTree.Element, name: str) -> str:
    """The text of the first child `name`, "" where there is none."""
    return element.findtext(name) or ""


def number_of(element: ElementTree.Element, name: str) -> int:
    """The number in the first child `name`. Raises ProtocolError where there is none."""
    return size_of(text_of(element, name), name)


def size_of(text: str, name: str = "Size") -> int:
    """The number that `text` is. Raises ProtocolError, which says `name`, for any other text."""
    if not text.isdecimal():
        raise ProtocolError(f"the store sent {text[:40]!r} where {name} must be a number")
    return int(text)


def unescaped(text: str) -> str:
    """The text that an escaped one stands for (XML 1.0, 4.1 and 4.6)."""
    text = text.replace("&quot;", '"')  # of every ETag of AWS
    return (tree_of(f"<t>{text}</t>").text or "") if "&" in text else text


def refuse_page(body: bytes, operation: str) -> None:
    """Raises ProtocolError for a body that S3 does not send: a login page of a portal or gateway, say.

    Writes and deletes are answered without a body, or with a document of the store.
    """
    if not body.strip():
        return
    try:
        strange = root_of(body.strip()).tag.lower() == "html"
    except ProtocolError:
        strange = True
    if strange:
        raise ProtocolError(f"{operation} was answered with a page or a text that no store sends")


_FIRST = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<(?:[\w.-]+:)?(\w+)")


def parse_error(body: bytes) -> dict[str, str]:
    """The fields of an `<Error>` document, whatever the prefix of its name space; empty for anything else."""
    first = _FIRST.match(body)
    if first is None or first[1] not in (b"Error", b"ErrorResponse"):
        return {}
    try:
        root = root_of(body.strip())
    except ProtocolError:
        return {}
    error = root.find("Error") if root.tag == "ErrorResponse" else root
    if error is not None and error.tag != "Error":  # a DeleteResult has an <Error> for each key that failed
        return {}
    return {} if error is None else {child.tag: child.text or "" for child in error}
