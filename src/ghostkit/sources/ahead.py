"""The pictures of a job with the bytes of those that lie in a store, fetched ahead of the engine.

One that may not be read is refused as any other picture. Where the first ones of a store may not be
read it is the keys, and the job ends before it has recorded any of them.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from threading import Event

from ghostkit.cloud.address import is_url, parse
from ghostkit.cloud.retrying import cancelled_by
from ghostkit.errors import StoreError
from ghostkit.sources.items import Item

REQUESTS, AHEAD = 16, 48  # pictures of a store under way, and fetched ahead in all
FORBIDDEN = 16  # the first so many in a row that may not be read, and it is the keys

_readable: set[str] = set()  # buckets from which this process has been given a picture


@dataclass(frozen=True)
class _Forbidden:
    """A picture that the store does not give."""

    item: Item
    error: StoreError

    @property
    def bucket(self) -> str:
        return parse(self.item.name).bucket

    def refused(self) -> Item:
        return self.item._replace(picture=b"", refusal=f"the store refuses it: {self.error}")


def loaded(items: Iterable[Item], max_bytes: int, *, trusted: bool = False) -> Iterator[Item]:
    """The same items, with the bytes of those that lie in an object store.

    Without any of those nothing is read ahead.

    Args:
        trusted: whether the keys have read pictures of the job before, in another process.

    Raises:
        StoreError: the store cannot be read, or not with these keys.
    """
    forbidden: list[_Forbidden] = []  # that are not told of yet
    with closing(_fetched(items, max_bytes)) as fetched:
        for each in fetched:
            if isinstance(each, Item):
                yield from (before.refused() for before in forbidden)
                forbidden.clear()
                yield each
            elif not forbidden and (trusted or each.bucket in _readable):
                yield each.refused()
            else:
                forbidden.append(each)
                if sum(before.bucket not in _readable for before in forbidden) == FORBIDDEN:
                    break
    if forbidden:
        raise forbidden[0].error


def _fetched(items: Iterable[Item], max_bytes: int) -> Generator[Item | _Forbidden, None, None]:
    over = Event()

    def fetched(item: Item, url: str) -> Item | _Forbidden:
        from ghostkit.sources.remote import fetch_picture

        try:
            with cancelled_by(over):
                content, refusal = fetch_picture(url, max_bytes)
        except StoreError as error:
            if error.reason != "forbidden":
                raise
            return _Forbidden(item, error)
        return item._replace(picture=content, refusal=refusal)

    waiting: deque[Future[Item | _Forbidden] | Item] = deque()
    pool = ThreadPoolExecutor(REQUESTS, "fetch")
    try:
        for item in items:
            if isinstance(item.picture, str) and is_url(item.picture):
                waiting.append(pool.submit(fetched, item, item.picture))
            elif waiting:
                waiting.append(item)
            else:
                yield item
            if len(waiting) >= AHEAD:
                yield _done(waiting.popleft())
        while waiting:
            yield _done(waiting.popleft())
    finally:
        over.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _done(item: Future[Item | _Forbidden] | Item) -> Item | _Forbidden:
    if not isinstance(item, Future):
        return item
    done = item.result()
    if isinstance(done, Item) and not done.refusal:
        _readable.add(parse(done.name).bucket)
    return done
