"""Which films a detector does not judge, and why."""

from pleura.radiograph import MIN_SIDE_PX, Radiograph

MAX_ASPECT = 2.0
MIN_CONTRAST = 0.02


def decline_reason(film: Radiograph) -> str | None:
    """Why a frontal-chest model must not judge `film`, in one sentence; None where it may.

    Refused: a view the header calls lateral or other than frontal, a matrix too small to hold a pleural
    line, a shape no frontal chest film has, a film without contrast.
    """
    rows, columns = film.shape
    if film.view in ("lateral", "other"):
        return f"The header says the view is {film.view}; only frontal films (PA, AP) are judged."
    if min(rows, columns) < MIN_SIDE_PX:
        return f"The film is {columns} × {rows} px; below {MIN_SIDE_PX} px a pleural line cannot be seen."
    if max(rows, columns) > MAX_ASPECT * min(rows, columns):
        return f"The film is {columns} × {rows} px; no frontal chest film is that narrow."
    if float(film.pixels.std()) < MIN_CONTRAST:
        return "The film is blank, or nearly so: there is no contrast to judge."
    return None
