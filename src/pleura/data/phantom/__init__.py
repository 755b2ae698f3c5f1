"""Synthetic chest films, for demos and tests; never for evaluation claims (`pleura phantom`).

film.py      `phantom`: one film, from the rays to the display
anatomy.py   the geometry of one imaginary patient, in mm
layers.py    the canvas, and what is drawn on it
dicom.py     the DICOM file around a film, of the kinds a reader meets
corpus.py    `write_phantoms`: a whole corpus in the layout of the SIIM-ACR challenge
"""

from pleura.data.phantom.corpus import PhantomCorpus, write_phantoms
from pleura.data.phantom.film import Phantom, Pneumothorax, phantom

__all__ = ["Phantom", "PhantomCorpus", "Pneumothorax", "phantom", "write_phantoms"]
