"""The tree of errors at the top of `errors.py`, against the classes below it."""

import inspect
import re

from pleura import errors


def drawn() -> dict[str, str]:
    """Each class of the drawing with the one that it hangs from."""
    parents, above = {}, ["PleuraError"]
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r" {4}((?:│   |    )*)[├└]── (\w+)", line)
        if found:
            depth = len(found[1]) // 4 + 1
            parents[found[2]] = above[depth - 1]
            above[depth:] = [found[2]]
    return parents


def test_the_tree_that_is_drawn_is_the_one_there_is() -> None:
    there = {
        name: kind.__bases__[0].__name__
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.PleuraError) and kind is not errors.PleuraError
    }
    assert drawn() == there


def test_each_is_also_a_built_in_error() -> None:
    for kind in errors.PleuraError.__subclasses__():
        built_in = {one for one in kind.__mro__ if one.__module__ == "builtins"}
        assert built_in > {Exception, BaseException, object}, kind.__name__
