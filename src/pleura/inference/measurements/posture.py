"""Whether distances may be taken on a film: its view, what its header says of the posture, its spacing."""

from pleura.radiograph import Radiograph


def why_no_distances(film: Radiograph) -> str | None:
    """Why no distance of a guideline can be taken on a film, in one sentence; None where it can.

    The guidelines mean erect films. A PA film is taken to be erect unless its header says otherwise; of an AP
    film the posture is not known, and lying down the air lies elsewhere.
    """
    if film.view is None:
        return "It is not known whether the film is PA; distances are those of erect PA films."
    if film.view != "PA":
        return f"The film is {film.view}: the patient's posture is not known."
    if film.posture_doubt is not None:
        return f"By its {film.posture_doubt} the patient may not have been erect."
    if film.spacing_basis == "implausible":
        return "The header's pixel spacing is not that of a chest film."
    if film.trusted_spacing_mm is None:
        return "It is not known how large a pixel is in the patient or on the detector."
    return None
