"""The attributes of an object: S3's parameter names <-> request headers, checked before anything is sent.

Invariants: an `Attributes` that exists can be sent; a customer's key is in no repr. Metadata, encryption and
grants are each replaced as a whole, never mixed from two sources.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from . import attribute_values as values
from .keywords import keywords_of, takes_any_keyword, unknown
from .models import META
from .s3_parameters import (
    CUSTOMER,
    CUSTOMER_KEY,
    ENCRYPTION,
    GROUPS,
    INSTEAD,
    OF_SOURCE,
    PARAMETERS,
    SOURCE,
    SSE,
)

Taker = str | Callable[..., Any]  # a method, or what to call one


class Item(NamedTuple):
    """One parameter, as a header."""

    parameter: str
    header: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class Attributes:
    """Checked parameters of S3 for one object, or for all of a filesystem."""

    items: tuple[Item, ...] = ()
    names: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Attributes {', '.join(sorted(self.names))}>"

    def __bool__(self) -> bool:
        return bool(self.names)

    def identity(self) -> list[tuple[str, str]]:
        """What tells these from others, in one order: headers and values; of a customer's key the digest.

        S3 names that digest in its answers, so nothing is given away by it.
        """
        return sorted((item.header, item.value) for item in self.items if item.header not in CUSTOMER_KEY)

    @classmethod
    def parse(cls, given: Mapping[str, Any], taker: Taker) -> Attributes:
        """Check `given`, in S3's names; None stands for nothing. `taker` is whom an error is about.

        Raises TypeError for a parameter that S3 does not have here, ValueError for a value that it refuses.
        """
        if not given:
            return NONE
        items: list[Item] = []
        wanted = {name: value for name, value in given.items() if value is not None}
        for name, value in wanted.items():
            parameter = PARAMETERS.get(name)
            if parameter is None:
                raise _not_taken(taker, name)
            if name == "Metadata":
                items += [Item(name, META + key, text) for key, text in values.metadata(value).items()]
            else:
                items.append(Item(name, parameter.header, parameter.check(name, value)))
        items += _derived_from_keys(wanted)
        found = cls(tuple(items), frozenset(wanted) | {item.parameter for item in items})
        found._check_combinations(_name(taker))
        return found

    @classmethod
    def parse_reading(cls, given: Mapping[str, Any], taker: Taker) -> Attributes:
        """Check `given` for a read; errors as of `parse`, and TypeError for what only a write takes."""
        found = cls.parse(given, taker)
        writing = found.names - found.of_kinds("access").names
        if writing:
            raise TypeError(f"{_name(taker)} does not take {', '.join(sorted(writing))}: that is for writing")
        return found

    def _check_combinations(self, taker: str) -> None:
        has = self.names
        sent = {item.parameter: item.value for item in self.items}
        for prefix in ("SSECustomer", "CopySourceSSECustomer"):
            if has & {prefix + "KeyMD5", prefix + "Algorithm"} and prefix + "Key" not in has:
                raise ValueError(f"{taker}: {prefix}Algorithm and {prefix}KeyMD5 need {prefix}Key")
        if "SSECustomerKey" in has and has & ENCRYPTION - {n for n in has if n.startswith("SSECustomer")}:
            raise ValueError(f"{taker}: SSECustomerKey and ServerSideEncryption exclude each other")
        kms = {"SSEKMSKeyId", "SSEKMSEncryptionContext"} & has
        if kms and not sent.get("ServerSideEncryption", "").startswith("aws:kms"):
            raise ValueError(
                f"{taker}: {', '.join(sorted(kms))} needs ServerSideEncryption='aws:kms' beside it"
            )
        if len(has & {"ObjectLockMode", "ObjectLockRetainUntilDate"}) == 1:
            raise ValueError(f"{taker}: ObjectLockMode and ObjectLockRetainUntilDate go together")
        if "ACL" in has and any(name.startswith("Grant") for name in has):
            raise ValueError(f"{taker}: ACL and Grant... exclude each other")

    # --- combining ---

    def overlaid(self, more: Attributes) -> Attributes:
        """These parameters, and `more` in place of those that they replace."""
        if not more or not self:
            return more or self
        dropped = set(more.names)
        for group in GROUPS:
            if more.names & group:
                dropped |= group
        kept = tuple(item for item in self.items if item.parameter not in dropped)
        return Attributes((*kept, *more.items), (self.names - dropped) | more.names)

    def of_kinds(self, *kinds: str) -> Attributes:
        """The parameters of some kinds: content, place, access, checksum, copy or copying."""
        names = frozenset(name for name in self.names if PARAMETERS[name].kind in kinds)
        return Attributes(tuple(item for item in self.items if item.parameter in names), names)

    def of_source(self) -> Attributes:
        """What reads the source of a copy, as parameters for reading it."""
        prefix = "CopySource"
        items = [
            Item(item.parameter[len(prefix) :], item.header.replace(SOURCE, CUSTOMER), item.value)
            for item in self.items
            if item.parameter in OF_SOURCE
        ]
        return Attributes(tuple(items), frozenset(item.parameter for item in items))

    def with_source(self) -> Attributes:
        """These parameters, for a copy whose source is encrypted with the same customer's key."""
        items = [
            Item("CopySource" + item.parameter, item.header.replace(CUSTOMER, SOURCE), item.value)
            for item in self.items
            if item.parameter.startswith("SSECustomer")
        ]
        source = Attributes(tuple(items), frozenset(item.parameter for item in items))
        return source.overlaid(self)

    def changes_access(self) -> bool:
        """Whether requests about the object carry other headers for these."""
        return bool(self.of_kinds("access", "checksum", "copying") or self.names & ENCRYPTION)

    # --- as headers ---

    def applied_to(self, headers: Mapping[str, str]) -> dict[str, str]:
        """`headers` of a write, with these over them."""
        prefixes = [META] if "Metadata" in self.names else []
        prefixes += [SSE] if self.names & ENCRYPTION else []
        kept = {name: value for name, value in headers.items() if not name.startswith(tuple(prefixes))}
        taken = (item for item in self.items if "PutObject" in PARAMETERS[item.parameter].operations)
        return kept | {item.header: item.value for item in taken}

    def standing(self) -> dict[str, dict[str, str]]:
        """The headers that give access, by operation: every request of that operation carries them."""
        found: dict[str, dict[str, str]] = {}
        for item in self.items:
            parameter = PARAMETERS[item.parameter]
            for operation in (
                parameter.operations if parameter.kind in ("access", "checksum", "copying") else ()
            ):
                found.setdefault(operation, {})[item.header] = item.value
        return found

    def payer(self) -> dict[str, str]:
        """Who pays, in S3's names; {} where nobody said so."""
        return {item.parameter: item.value for item in self.items if item.parameter == "RequestPayer"}

    def checksum_algorithm(self) -> str:
        """The algorithm of the checksums that are sent with what is written, in lower case."""
        given = (item.value for item in self.items if item.parameter == "ChecksumAlgorithm")
        return next(given, "CRC32").lower()

    def directive(self, name: str) -> str:
        """The value of MetadataDirective or TaggingDirective, "COPY" where it is not given."""
        return next((item.value for item in self.items if item.parameter == name), "COPY")


NONE = Attributes()


def _derived_from_keys(given: Mapping[str, Any]) -> Iterable[Item]:
    """The algorithm and the digest of each customer's key, which S3 wants beside it."""
    for prefix in ("SSECustomer", "CopySourceSSECustomer"):
        if prefix + "Key" not in given:
            continue
        digest = values.key_digest(prefix + "Key", given[prefix + "Key"])
        if given.get(prefix + "KeyMD5", digest) != digest:
            raise ValueError(f"{prefix}KeyMD5 is not the digest of {prefix}Key: leave it out")
        for name, value in (("Algorithm", "AES256"), ("KeyMD5", digest)):
            if prefix + name not in given:
                yield Item(prefix + name, PARAMETERS[prefix + name].header, value)


def check_names(given: Collection[str], taker: Callable[..., Any], passed_on_to: Callable[..., Any]) -> None:
    """Raise TypeError for a keyword of `taker` that is no parameter of S3, and not passed on either."""
    if given:
        takers = _takers(passed_on_to)
        for name in given:
            if name not in PARAMETERS and name not in keywords_of(*takers):
                raise _not_taken(taker, name, *takers)


def _takers(method: Callable[..., Any]) -> list[Callable[..., Any]]:
    """`method`, and those of its base classes that it may hand keywords on to."""
    takers = [method]
    overridden = [vars(cls).get(method.__name__) for cls in type(getattr(method, "__self__", None)).__mro__]
    for base in filter(callable, overridden):
        if not takes_any_keyword(takers[-1]):
            break
        takers.append(base)
    return takers


def _not_taken(taker: Taker, name: str, *others: Callable[..., Any]) -> TypeError:
    if name in INSTEAD:
        return TypeError(f"{_name(taker)} does not take {name}: {INSTEAD[name]}")
    own = () if isinstance(taker, str) else keywords_of(taker, *others)
    return unknown(_name(taker), name, [*PARAMETERS, *own])


def _name(taker: Taker) -> str:
    return taker if isinstance(taker, str) else taker.__name__
