"""Listings of objects, of their versions and of buckets, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

from .._threads import Task
from .._values.models import ListPage, Request, Response, VersionPage
from .._values.paths import is_directory_bucket
from .._work import TURN, check
from ..errors import ProtocolError
from . import xml, xml_listings
from .exchange import Exchange
from .pages import Markers
from .scheduler import Scheduler
from .store import Store

T = TypeVar("T")
MAX_KEYS = 1000  # of one page of a listing
_KEEPS_DIRECTORIES = "SeaweedFS"  # as a store calls itself that does
_MANY_PAGES = 4  # after which it pays to look how the rest can be listed in parallel


class Listings:
    """ListObjectsV2, ListObjectVersions and ListBuckets. Thread-safe."""

    def __init__(self, store: Store, exchange: Exchange, scheduler: Scheduler) -> None:
        self._store = store
        self._exchange = exchange
        self._scheduler = scheduler

    def list_objects(
        self,
        bucket: str,
        prefix: str = "",
        delimiter: str = "",
        max_keys: int = MAX_KEYS,
        start_after: str = "",
    ) -> Iterator[ListPage]:
        """ListObjectsV2, page by page. A caller that may stop early asks for fewer than `MAX_KEYS`.

        With `start_after` there are only keys behind that one, in the order of Unicode, and so of UTF-8.
        """
        if not is_directory_bucket(bucket) or prefix.endswith("/") or not prefix:
            yield from self._list_objects(bucket, prefix, delimiter, max_keys, start_after)
            return
        # A directory bucket takes prefixes that end with a slash only.
        folder = prefix[: prefix.rfind("/") + 1]
        for page in self._list_objects(bucket, folder, delimiter, max_keys):
            yield page.beginning_with(prefix)

    def _list_objects(
        self, bucket: str, prefix: str, delimiter: str, max_keys: int, start_after: str = ""
    ) -> Iterator[ListPage]:
        query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
        query += [("max-keys", str(max_keys))]
        query += [("delimiter", delimiter)] if delimiter else []
        query += [("start-after", start_after)] if start_after else []

        def request(token: str | None) -> Request:
            more = [("continuation-token", token)] if token else []
            return Request("ListObjectsV2", "GET", bucket, query=(*query, *more))

        def parse(answer: Response) -> bytes:
            if answer.headers.get("server", "").startswith(_KEEPS_DIRECTORIES):
                self._store.facts(bucket).keeps_directories = True
            return answer.body

        def fetch(token: str | None) -> bytes:
            asked, early = request(token), None
            if not xml.is_loaded():  # by the first listing of a process, whose answer is on its way meanwhile
                early = self._exchange.ahead(asked)
                xml.load()
            return self._exchange.ask(asked, parse, early)

        body, token = fetch(None), None
        markers = Markers("the listing")
        before: ListPage | None = None
        while True:
            # The next page is on its way while this one is parsed and used.
            ahead = xml_listings.next_token(body) if max_keys == MAX_KEYS else None
            task = Task(partial(fetch, ahead)) if ahead else None
            try:
                try:
                    page = xml_listings.parse_list(body)
                except ProtocolError:  # damaged on its way: ask again, as for any answer that got lost
                    page = self._exchange.ask(
                        request(token), lambda answer: xml_listings.parse_list(answer.body)
                    )
                _check_page(page, before, prefix)
                shown = _folded(page, prefix, delimiter) if delimiter else page
                # Some stores ignore start-after.
                yield shown.only([key > start_after for key in shown.keys]) if start_after else shown
                if page.next_token is None:
                    return
                markers.check(page.next_token, len(page.keys) + len(page.prefixes))
                token, before = page.next_token, page
                body = task.wait() if task is not None and ahead == token else fetch(token)
            finally:
                if task is not None:
                    task.cancel()

    def list_tree(self, bucket: str, prefix: str) -> Iterator[ListPage]:
        """ListObjectsV2 of all that is below `prefix`, in any order, each key once.

        Pages come one after the other, each a round trip. Where that takes long, since the store is distant
        and there are many, the directories below are listed in parallel instead: as a whole, since not every
        store lists in the order of UTF-8 (Storj, gateways to file systems), and what came before is left out.
        """
        side_by_side = not is_directory_bucket(bucket)
        listed: set[str] = set()
        for count, page in enumerate(self.list_objects(bucket, prefix), 1):
            yield page
            if count <= _MANY_PAGES:
                listed.update(page.keys)
            if count == _MANY_PAGES and page.next_token and side_by_side and self._scheduler.is_distant():
                branches = self._branches(bucket, prefix)
                if branches is not None:
                    yield from self._list_branches(bucket, *branches, listed)
                    return

    def _branches(self, bucket: str, prefix: str) -> tuple[list[ListPage], list[str]] | None:
        """The directories where the keys below `prefix` part, and the pages with the keys beside them.

        None where there are so many that each would cost a request for little, or where they make no tree.
        """
        beside: list[ListPage] = []
        while True:
            level = next(self.list_objects(bucket, prefix, "/", MAX_KEYS - 1))
            beside.append(level)
            prefixes = list(dict.fromkeys(level.prefixes))
            if level.next_token or not 1 <= len(prefixes) <= self._store.options.max_concurrency:
                return None
            if any(name.find("/", len(prefix)) != len(name) - 1 for name in prefixes):
                return None
            if len(prefixes) > 1:
                return beside, prefixes
            prefix = prefixes[0]

    def _list_branches(
        self, bucket: str, beside: list[ListPage], prefixes: list[str], listed: set[str]
    ) -> Iterator[ListPage]:
        """What is beside and below `prefixes`, without the keys that were told before.

        Pages are told in the order in which they come: kept until it is their turn they would take several
        times the memory of what is made of them.
        """
        came: SimpleQueue[ListPage | BaseException | None] = SimpleQueue()
        tasks = [Task(partial(self._put_pages, bucket, prefix, came)) for prefix in prefixes]
        try:
            for page in beside:
                yield page.without(listed)
                listed.update(page.keys)
            under_way = len(tasks)
            while under_way:
                item = _next_of(came, tasks)
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    under_way -= 1
                else:
                    yield item.without(listed)
        finally:
            for task in tasks:
                task.cancel()

    def _put_pages(
        self, bucket: str, prefix: str, came: SimpleQueue[ListPage | BaseException | None]
    ) -> None:
        try:
            for page in self.list_objects(bucket, prefix):
                came.put(page)
            came.put(None)
        except BaseException as error:
            came.put(error)
            raise
        finally:
            del came  # the frame is in the error's traceback: a cycle otherwise

    def list_object_versions(
        self, bucket: str, prefix: str = "", delimiter: str = ""
    ) -> Iterator[VersionPage]:
        """ListObjectVersions, page by page."""
        query = [("versions", ""), ("prefix", prefix), ("encoding-type", "url")]
        query += [("delimiter", delimiter)] if delimiter else []
        markers: tuple[str, str] | None = None
        came = Markers("the listing of versions")
        while True:
            more = [("key-marker", markers[0])] if markers else []
            more += [("version-id-marker", markers[1])] if markers and markers[1] else []
            request = Request("ListObjectVersions", "GET", bucket, query=(*query, *more))
            page = self._exchange.ask(request, lambda answer: xml_listings.parse_versions(answer.body))
            _check_prefix(prefix, [row.key for row in page.versions], page.prefixes)
            yield page
            if page.next_markers is None:
                return
            came.check(page.next_markers)
            markers = page.next_markers

    def list_buckets(self) -> Iterator[tuple[str, datetime | None]]:
        """ListBuckets, all pages: accounts may have more than one answer holds."""
        token: str | None = None
        markers = Markers("the list of buckets")
        while True:
            query = (("continuation-token", token),) if token else ()
            request = Request("ListBuckets", "GET", query=query)
            rows, following = self._exchange.ask(
                request, lambda answer: xml_listings.parse_buckets(answer.body)
            )
            yield from rows
            if following is None:
                return
            markers.check(following)
            token = following


def _next_of(came: SimpleQueue[T], tasks: Sequence[Task[None]]) -> T:
    """What has come next; `tasks` put it in. One that gets no thread is done here."""
    while True:
        try:
            return came.get(timeout=TURN)
        except Empty:
            check()
            waiting = next((task for task in tasks if not task.is_begun()), None)
            if waiting is not None:
                waiting.wait()


def _check_page(page: ListPage, before: ListPage | None, prefix: str) -> None:
    """Raises ProtocolError for what would name keys that nobody asked for, or the same ones for ever."""
    _check_prefix(prefix, page.keys, page.prefixes)
    if before is not None and page.keys and (page.keys, page.prefixes) == (before.keys, before.prefixes):
        raise ProtocolError("the listing goes round in circles: the same page came twice")


def _folded(page: ListPage, prefix: str, delimiter: str) -> ListPage:
    """The page as it is to be, where the store ignored the delimiter; ProtocolError for the prefix itself."""
    if prefix in page.prefixes:  # who walks down would never arrive
        raise ProtocolError(f"the store listed the directory {prefix!r} within itself")
    begin = len(prefix)
    ends = {key: key.find(delimiter, begin) for key in page.keys if delimiter in key[begin:]}
    if not ends:
        return page
    below = dict.fromkeys(key[: end + len(delimiter)] for key, end in ends.items())
    return page.without(ends.keys())._replace(prefixes=tuple(dict.fromkeys((*page.prefixes, *below))))


def _check_prefix(prefix: str, *listed: Sequence[str]) -> None:
    if not all([name.startswith(prefix) for names in listed for name in names]):
        raise ProtocolError(f"the store listed keys that do not begin with the prefix {prefix!r}")
