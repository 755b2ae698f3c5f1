"""Which films a detector judges, and as what: by the header, the plainest facts, then a small network.

basics.py       view, matrix, shape and contrast: what needs no network
answers.py      what the anatomy network says of one film
thresholds.py   `AdmissionThresholds`: what it may say of a film that is judged
mending.py      turning a film upright, righting its greys, and bringing what was found back
doorkeeper.py   `Doorkeeper`: films to those that are judged, put right where they must be, and to reasons
"""

from pleura.inference.admission.basics import decline_reason
from pleura.inference.admission.thresholds import AdmissionThresholds

__all__ = ["AdmissionThresholds", "decline_reason"]
