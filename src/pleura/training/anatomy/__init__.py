"""Training the network that looks at a film before any other does: lungs, presentation, novelty.

settings.py    what a run is made with
samples.py     what the network is shown: films as they are, turned, inverted, spoilt, and what is no film
teacher.py     lungs that a trained network draws for its successor
loop.py        the loop, and what it loses
fit.py         once it is trained: the density of known films, and the thresholds of declining
finished.py    the folder of a run, once it is finished
run.py         `train_anatomy`: a folder of drawn lungs and a dataset to a finished run
"""

from pleura.training.anatomy.run import train_anatomy
from pleura.training.anatomy.settings import AnatomySettings

__all__ = ["AnatomySettings", "train_anatomy"]
