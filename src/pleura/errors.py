"""Everything pleura raises on purpose.

    PleuraError
    ├── ReadError                 one film cannot be used
    │   ├── UnrecognisedFormat    the bytes are no format pleura reads
    │   ├── DecodeError           damaged, truncated, or its decoder is not installed
    │   ├── UnsupportedFilm       whole, but not a film for display: FOR PROCESSING, multi-frame, ...
    │   │   └── NoImage           goes with films and is none: a report, a directory, a finding of pleura
    │   └── FilmTooLarge          beyond the limits on bytes or pixels
    ├── RunLengthError            a run-length encoded mask that does not describe a mask
    ├── CorpusError               a source folder or table that cannot be prepared
    ├── DatasetError              a prepared dataset that is missing, damaged or of another version
    │   └── LeakError             the same patient or film on both sides of a split
    ├── RecipeError               a recipe with an unknown key, a wrong type or an impossible value
    ├── WeightsError              weights from outside that cannot be used
    ├── UnknownName               a name that is in no table; lists the choices, suggests the nearest
    ├── TrainingError             training cannot start or go on
    │   └── NonFiniteLoss         the loss became NaN or infinite; names the films of the batch
    ├── EvaluationError           a score that cannot be computed from what was given
    ├── ArchiveError              many films: judging or fetching them cannot start or go on
    ├── ResultError               a finding that cannot be written as DICOM
    ├── ServiceError              the service cannot start, or refuses a request
    ├── DeviceUnavailable         the device asked for is not there
    ├── BundleError               a bundle that is missing, damaged, altered or of another version
    └── MissingExtra              a part of pleura whose libraries are not installed

Every message says what was given, what is wrong with it and what to do. Each class also derives from
the built-in exception a caller would expect, so plain ``except ValueError`` keeps working.
"""

import difflib
from collections.abc import Iterable

_LISTED = 60  # choices that a message lists in full


class PleuraError(Exception):
    """The root: catch this to catch everything pleura raises on purpose."""


class ReadError(PleuraError, ValueError):
    """One film cannot be used."""


class UnrecognisedFormat(ReadError):
    """The bytes are no format pleura reads."""


class DecodeError(ReadError):
    """The file is damaged or truncated, or needs a decoder that is not installed."""


class UnsupportedFilm(ReadError):
    """The file is whole, but is not a single film for display."""


class NoImage(UnsupportedFilm):
    """A DICOM object that goes with films and is none: a report, a directory, a finding of pleura."""


class FilmTooLarge(ReadError):
    """The file is beyond the limits on bytes or pixels."""


class RunLengthError(PleuraError, ValueError):
    """A run-length encoded mask that does not describe a mask of the given size."""


class CorpusError(PleuraError, ValueError):
    """A source folder or table that cannot be prepared."""


class DatasetError(PleuraError, ValueError):
    """A prepared dataset that is missing, damaged or of another version."""


class LeakError(DatasetError):
    """The same patient or the same film stands on both sides of a split."""


class RecipeError(PleuraError, ValueError):
    """A recipe with an unknown key, a wrong type or an impossible value."""


class WeightsError(PleuraError, ValueError):
    """Weights from outside that cannot be used."""


class UnknownName(PleuraError, LookupError):
    """A name that stands in no table."""

    @classmethod
    def among(cls, kind: str, given: str, choices: Iterable[str]) -> "UnknownName":
        """The error for ``given``, which is no ``kind``; lists ``choices`` and suggests the nearest."""
        known = sorted(choices)
        near = difflib.get_close_matches(given, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        if len(known) > _LISTED:  # such as a library's thousand encoders
            nearest = difflib.get_close_matches(given, known, n=8, cutoff=0.3)
            some = ", ".join(nearest) or "none"
            return cls(f"{given!r} is no known {kind}.{hint} Nearest of {len(known)}: {some}.")
        return cls(f"{given!r} is no known {kind}.{hint} Known: {', '.join(known) or 'none'}.")


class TrainingError(PleuraError, RuntimeError):
    """Training cannot start or go on."""


class NonFiniteLoss(TrainingError):
    """The loss became NaN or infinite."""


class EvaluationError(PleuraError, ValueError):
    """A score that cannot be computed from what was given."""


class ResultError(PleuraError, ValueError):
    """A finding that cannot be written as DICOM: the film is none, or lacks what a result must name."""


class ArchiveError(PleuraError, ValueError):
    """A prediction over many films that cannot start or go on."""


class ServiceError(PleuraError, RuntimeError):
    """The service cannot start or go on, or refuses a request."""


class DeviceUnavailable(PleuraError, RuntimeError):
    """The device asked for is not there."""


class BundleError(PleuraError, ValueError):
    """A bundle that is missing, damaged, altered or of another version."""


class MissingExtra(PleuraError, ImportError):
    """A part of pleura whose libraries are not installed."""

    @classmethod
    def needing(cls, what: str, extra: str, cause: ImportError) -> "MissingExtra":
        """The error for ``what``, which needs the optional dependencies named ``extra``."""
        return cls(
            f"{what} needs libraries that are not installed ({cause}). "
            f"Install them with: pip install 'pleura[{extra}]'"
        )
