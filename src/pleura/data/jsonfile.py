"""JSON written whole or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pleura.errors import DatasetError


def write_json(path: Path, content: Any) -> None:
    """Writes `content` to `path` as JSON, making its folder if need be.

    Raises:
        DatasetError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1, allow_nan=False)
            os.chmod(partial, 0o644)  # mkstemp gives 0600
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DatasetError(f"{path} cannot be written ({error}); choose another place") from error
