"""A dataset and its split as other tools want them (`pleura export-dataset`): peers train on the same.

nnunet.py   nnU-Net v2's raw folder, with `splits_final.json`
coco.py     COCO instances, one region an annotation
write.py    what both need: pixels, parts, folders

A new layout is one file with a function like theirs and one line in `PEERS`.
"""

from pleura.data.peers.coco import write_coco
from pleura.data.peers.nnunet import write_nnunet
from pleura.data.peers.write import Exported, Layout

PEERS: dict[str, Layout] = {"nnunet": write_nnunet, "coco": write_coco}

__all__ = ["PEERS", "Exported", "Layout", "write_coco", "write_nnunet"]
