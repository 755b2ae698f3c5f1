"""Archives of films through one detector: streamed, resumable after anything, each film judged once.

inputs.py      what the user names -> paths
journal.py     the record on disk: what is to do, what is done
reading.py     bytes -> films, in parallel
decoding.py    films whose decoders would stop every other thread, in processes of their own
duplicates.py  the same film again
pictures.py    masks and overlays
run.py         all of it together
"""
