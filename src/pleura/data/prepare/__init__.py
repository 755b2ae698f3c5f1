"""Corpora -> one prepared dataset (`pleura prepare`).

run.py       `prepare`: names the films, has them converted, keeps each once, writes the tables
convert.py   one case -> its image, its mask and its row of the manifest
journal.py   which films are finished, so that an interrupted run goes on
"""

from pleura.data.prepare.run import prepare, read_failures

__all__ = ["prepare", "read_failures"]
