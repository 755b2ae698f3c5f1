"""Deleting films: noted first, and possible on a full disk, too."""

import sqlite3
from collections.abc import Sequence

from pleura.service.audit import Audit
from pleura.service.problems import is_of_full_disk
from pleura.service.store import Store


def delete(
    store: Store, audit: Audit, films: Sequence[str], who: str, *, durable: bool = True
) -> None:
    """Deletes films with all that belongs to them.

    The audit log and the index need room for it: where the disk has none, the store's reserve is given up.

    Args:
        store, audit: of the service.
        films: ids.
        who: deletes them.
        durable: as `Audit.note` has it.

    Raises:
        OSError, sqlite3.Error: of a disk that is full nevertheless, or broken.
    """
    try:
        _delete(store, audit, films, who, durable)
    except (OSError, sqlite3.Error) as error:
        if not is_of_full_disk(error) or not store.folders.give_up_reserve():
            raise
        _delete(store, audit, films, who, durable)


def _delete(store: Store, audit: Audit, films: Sequence[str], who: str, durable: bool) -> None:
    for film in films:
        audit.note(who, "deleted", film, durable=durable)
    store.delete(films)
