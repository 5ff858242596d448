"""One store, from its program to its outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tests.data import period_free
from tests.real_stores.building import NotBuilt
from tests.real_stores.catalogue import Program
from tests.real_stores.checking import CHECKS, Check, Outcome, outcome_of
from tests.real_stores.guards import guard_outcomes
from tests.real_stores.place import IN_PARTS, MIB, Place, place_of
from tests.real_stores.starting import certificate
from tests.real_stores.suites import suite_outcomes
from tests.real_stores.table import Result
from tests.servers import ServerDidNotStart

from . import surface  # noqa: F401 - its functions are the rows

Tell = Callable[[Outcome], None]


def run_store(program: Program, tell: Tell, only: str = "") -> Result:
    """Build, start and try a store; `only` is a part of the titles that are wanted, or "guards"."""
    try:
        with program.started() as server:
            place = place_of(program.name, server)
            guards = list(_told(guard_outcomes(place), tell)) if only in ("", "guards") else []
            found = list(_told(surface_outcomes(place, only), tell))
            found += _told(suite_outcomes(place, only), tell)
        if not only or only in TLS.title:
            found += _told([_tls(program)], tell)
    except (NotBuilt, ServerDidNotStart) as error:
        reason = str(error).strip().splitlines()[-1][:200]
        return Result(program.name, program.heading, reason, {})
    return Result(program.name, program.heading, "", {"guards": guards, "surface": found})


def surface_outcomes(place: Place, only: str = "") -> Iterator[Outcome]:
    """One for each check that this place allows."""
    for checked in CHECKS:
        if only in checked.title and not (checked.needs_buckets and place.root):
            yield outcome_of(checked, place)


def _told(outcomes: Iterable[Outcome], tell: Tell) -> Iterator[Outcome]:
    for outcome in outcomes:
        tell(outcome)
        yield outcome


def _round_trip(place: Place) -> None:
    spot, data = place.fresh(), period_free(6 * MIB, seed=11)
    fs = place.fs(**IN_PARTS)
    for name, body in (("small", b"abc"), ("parts", data)):
        fs.pipe_file(spot.path(name), body)
        assert fs.cat_file(spot.path(name)) == body, "other bytes"
    assert fs.find(spot.root) == [spot.path("parts"), spot.path("small")]


TLS = Check("TLS, with a certificate of an authority of yours", _round_trip)


def _tls(program: Program) -> Outcome:
    if not program.has_tls:
        return Outcome(TLS.title, "no", "the store speaks plain http alone")
    with certificate() as files:
        try:
            with program.started(files) as server:
                return outcome_of(TLS, place_of(program.name, server))
        except ServerDidNotStart as error:
            return Outcome(
                TLS.title, "no", f"it does not start with TLS: {str(error).strip().splitlines()[-1][:200]}"
            )
