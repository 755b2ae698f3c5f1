"""Which parts of a split are test parts, and that nothing is chosen on them."""

from pleura.errors import EvaluationError


def is_test(part: str) -> bool:
    """Whether a part of this name is a test part."""
    return "test" in part.lower()


def refuse_test(part: str) -> None:
    """Raises EvaluationError where `part` names a test part: nothing may be chosen on it."""
    if is_test(part):
        raise EvaluationError(
            f"something was to be chosen or fitted on the part {part!r}; test films are never chosen on, "
            "nor fitted on: use the tuning part"
        )
