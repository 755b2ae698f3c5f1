"""Archives of films through one detector: streamed, resumable after anything, each film judged once.

inputs.py      what the user names -> paths
journal.py     the record on disk: what is to do, what is done
rows.py        what the journal keeps of a file
reading.py     bytes -> films, in parallel
duplicates.py  the same film again
pictures.py    masks, overlays and DICOM results
run.py         all of it together
submission.py  the challenge's submission from what was predicted
"""
