"""The service behind `pleura serve`: films in over HTTP, findings out, nothing lost.

settings.py     what it is told: bundle, store, limits, who may ask
app.py          the FastAPI application, put together; its start and stop
films.py        routes: upload, worklist, one film, its pictures, read marks
readings.py     routes: corrections and their export
about.py        routes: model, service, session, events, health, metrics
schemas.py      what the routes give and take, for OpenAPI
problems.py     errors as problem+json
access.py       who is asking; hosts, origins, body sizes, headers
audit.py        who saw and did what, hash-chained
uploads.py      from the bytes of an upload to films that are safe on the disk
zips.py         what a zip holds, within bounds
deidentify.py   a film without anything that tells whose it is
decoding.py     the processes that open untrusted files, and what becomes of those that hang
decoder.py      what runs inside them
judging.py      a film's way from its file to its finding
jobs.py         the durable work, on DBOS
store.py        the index of films, on SQLite
tables.py       its tables
worklist.py     sorting, filtering and paging it
corrections.py  what readers said, append-only
corpus.py       corrected films as a corpus
folders.py      the files of the films
housekeeping.py retention and room on the disk
metrics.py      for Prometheus
page.py         the viewer's files
"""
