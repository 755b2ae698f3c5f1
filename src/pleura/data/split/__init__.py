"""Which films train, which tune, which test (`pleura split`).

file.py      `Split`: the parts, their file, and the checks before any use
draw.py      `make_split`: draws the parts; `divide_folds`: finer folds within them
stratify.py  shares out groups so that every part looks like the whole
linked.py    which films must stay together: one patient's, and copies of one film
"""

from pleura.data.split.draw import divide_folds, make_split
from pleura.data.split.file import SPLIT_FILE, Split

__all__ = ["SPLIT_FILE", "Split", "divide_folds", "make_split"]
