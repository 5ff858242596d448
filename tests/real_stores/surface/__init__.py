"""The surface of the filesystem on a store: each function is a row of the table, in this order."""

from importlib import import_module

from tests.real_stores.checking import CHECKS, Check

__all__ = ["CHECKS", "Check"]

for _module in (
    "contents",
    "conditions",
    "seeking",
    "races",
    "commits",
    "copies",
    "listings",
    "names",
    "attributes",
    "versions",
    "urls",
    "pins",
    "uploads",
    "refusals",
):
    import_module(f"{__name__}.{_module}")
