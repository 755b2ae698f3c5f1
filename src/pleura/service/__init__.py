"""The service behind `pleura serve`: films in over HTTP, findings out, nothing lost.

settings.py      what it is told: bundle, store, limits, who may ask
app.py           the FastAPI application, put together
running.py       the parts of a running service, their start and stop
films.py         routes: upload, one film, read marks, deletion
lists.py         routes: worklist, uploads, studies
pictures.py      routes: pixels, pictures, files
readings.py      routes: corrections and their export
about.py         routes: model, service, session, live channel, health, metrics
page.py          routes: the viewer's files, /docs
parameters.py    what several routes take and give
schemas.py       what the routes give, for OpenAPI
problems.py      errors as problem+json
access.py        who is asking; hosts, origins, body sizes, headers
audit.py         who saw and did what, hash-chained
parts.py         an upload's files, from its body straight to the disk
uploads.py       from the bytes of an upload to films that are safe on the disk
zips.py          what a zip holds, within bounds
deidentify.py    a film without anything that tells whose it is
decoding.py      the processes that open untrusted files, and what becomes of those that hang
decoder.py       what runs inside them
judging.py       a film's way from its file to its finding
findings.py      findings as they are kept, and back
rasters.py       their masks and maps, as PNG
jobs.py          the durable work, on DBOS
store.py         the index of films
tables.py        its tables, on SQLite
worklist.py      sorting, filtering and paging it
corrections.py   what readers said, append-only
corpus.py        corrected films as a corpus
folders.py       the files of the films
housekeeping.py  retention, and what crashes left behind
metrics.py       for Prometheus
node_settings.py what is told of the traffic with archives
archives.py      how those are answered that send films
dicom_network.py a server of DICOM connections
dicom_node.py    films that come by C-STORE
dicom_web.py     routes: films that come by STOW-RS
outbox.py        which results go back
deliveries.py    the threads that send them, until they have arrived
"""
