"""From source folders to films a network trains on.

On disk and in memory
    manifest.py     the prepared dataset: what lies where, `Dataset` and `Film`
    dataset.py      `FilmSet`: a dataset's films at a network's size

What is done, a package each
    corpora/        source folders -> cases; one layout a file
    prepare/        cases -> the prepared dataset
    verify/         whether that is safe to train on
    split/          which films train, tune and test
    augment/        the named sets of augmentation
    phantom/        synthetic films, for demos and tests
    peers/          the same films and split, as other tools want them

Shared by several of these
    duplicates.py   the same film met twice
    workers.py      a pool of processes that survives its workers
"""
