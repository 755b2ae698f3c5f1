"""Whether a prepared dataset is safe to train on, and what in it deserves a look (`pleura verify`).

run.py       `verify`: all of it, to a `Verification`
problems.py  every code that can be found, how grave it is and what it means
checks.py    what the tables say: labels, copies, patients, balance, the split
measure.py   what a film's own files say: whole, as the manifest has them, and how it looks
outliers.py  films that look unlike the others
"""

from pleura.data.verify.outliers import Z_LIMIT
from pleura.data.verify.problems import Problem, Severity
from pleura.data.verify.run import MEASURES, SCORED, Verification, verify

__all__ = ["MEASURES", "SCORED", "Z_LIMIT", "Problem", "Severity", "Verification", "verify"]
