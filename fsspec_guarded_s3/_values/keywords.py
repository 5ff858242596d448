"""What a verb is given: keywords that it does not take and values of a wrong type, refused in clear words."""

from __future__ import annotations

import functools
import inspect
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, cast

from .._forks import importing

P = ParamSpec("P")
Verb = Callable[..., Any]  # a method of a filesystem, which a subclass may have overridden
_NO_KEYWORDS = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
)


def keeping_what_is_given(init: Callable[P, None]) -> Callable[P, None]:
    """Let `init` find in `storage_options` the keywords that were given, without the defaults of the others.

    fsspec sets that attribute too, but only when `init` has returned. TypeError for options by position.
    """

    @functools.wraps(init)
    def keep(self: Any, *args: Any, **given: Any) -> None:
        if args:
            raise TypeError("storage options go by name, such as anon=True or key=..., and not by position")
        self.storage_options = given
        cast("Callable[..., None]", init)(self, **given)

    return cast("Callable[P, None]", keep)


class SignatureOfInit:
    """`__signature__` of a class: that of its `__init__`.

    Without it `inspect.signature` shows what the metaclass takes, which of fsspec's filesystems is anything.
    """

    def __get__(self, instance: object, owner: Any) -> inspect.Signature:
        signature = inspect.signature(owner.__init__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def keywords_of(*calls: Callable[..., Any]) -> list[str]:
    """The names of what each of `calls` takes by name."""
    parameters = (item for call in calls for item in inspect.signature(call).parameters.values())
    return [item.name for item in parameters if item.kind not in _NO_KEYWORDS]


def takes_any_keyword(call: Callable[..., Any]) -> bool:
    """Whether it has `**kwargs`."""
    parameters = inspect.signature(call).parameters.values()
    return any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters)


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `name`, which may be it misspelt; None where none is like it.

    Case and underscores make no difference.
    """
    plain = {_plain(item): item for item in known}
    with importing():
        import difflib
    near = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.8)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def unknown(taker: str, name: str, known: Iterable[str]) -> TypeError:
    """The error about a keyword that `taker` does not take."""
    near = closest_name(name, known)
    return TypeError(f"{taker} does not take {name}" + (f"; did you mean {near}?" if near else ""))


_INSTEAD = {name: "name the object by path" for name in ("bucket", "key", "Bucket", "Key")}


def refuse(call: Callable[..., Any], given: Iterable[str]) -> None:
    """Raise TypeError for the first keyword that is left over in a call of `call`."""
    for name in given:
        if name in _INSTEAD:
            raise TypeError(f"{call.__name__} does not take {name}: {_INSTEAD[name]}")
        raise unknown(call.__name__, name, keywords_of(call))


def check_type(name: str, value: Any, kind: type) -> None:
    """Raise TypeError when the argument `name` is of another type."""
    if not isinstance(value, kind):
        wanted = "a dict" if kind is Mapping else kind.__name__
        raise TypeError(f"{name} must be {wanted}, not {type(value).__name__}")


def check_function(name: str, value: Any) -> None:
    """Raise TypeError when the argument `name` is neither a function nor None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be a function, not {type(value).__name__}")


def flag(name: str, value: Any) -> bool:
    """`value` as a bool. TypeError for text, which would always be True: "no" of a configuration, say."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be bool, not {type(value).__name__}")
    return bool(value)


def check_integer(name: str, value: Any, minimum: int | None = None) -> int:
    """`value` as an int; TypeError when it is no whole number, ValueError when it is below `minimum`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} must be int, not {type(value).__name__}")
    if minimum is not None and number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {number}")
    return number


def check_slice(start: Any, end: Any, names: tuple[str, str] = ("start", "end")) -> slice:
    """The slice [start, end), each a whole number or None. TypeError otherwise."""
    pairs = zip(names, (start, end), strict=True)
    return slice(*(value if value is None else check_integer(name, value) for name, value in pairs))


def check_local_path(name: str, value: Any) -> None:
    """Raise TypeError when the argument `name` is no path of a file here."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{name} must be a str or os.PathLike, not {type(value).__name__}")


def check_bytes(name: str, value: Any) -> None:
    """Raise TypeError when the argument `name` is nothing that holds bytes."""
    try:
        memoryview(value)
    except TypeError:
        hint = ": encode it" if isinstance(value, str) else ""
        raise TypeError(f"{name} must be bytes-like, not {type(value).__name__}{hint}") from None


def view_to_write(data: Any, path: str) -> memoryview:
    """What a binary file is given, as bytes. TypeError, which names the file, for what has none."""
    try:
        return memoryview(data)
    except TypeError:
        hint = ', or open it as text, with mode "w"' if isinstance(data, str) else ""
        kind = type(data).__name__
        raise TypeError(f"{path} is open for bytes: write bytes-like data, not {kind}{hint}") from None


def check_depth(maxdepth: int | None) -> None:
    """Raise unless `maxdepth` is None or a number of levels from 1 on."""
    if maxdepth is not None:
        check_integer("maxdepth", maxdepth, 1)


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError when the argument `name` is none of the values that are allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
