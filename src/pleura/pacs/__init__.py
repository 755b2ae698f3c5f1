"""Archives (PACS), as their client: films fetched from them, and results sent to them.

peers.py     where one is, by AE title or URL, and what proves who we are
web.py       the transactions of DICOMweb (PS3.18): search, retrieve, store
answers.py   what they are answered with: multipart, DICOM JSON, a no
fetch.py     an archive's films to a folder, by DICOMweb
lines.py     results on their way: a connection, and what became of them
c_store.py   by C-STORE (PS3.4 B)
stow.py      by STOW-RS
open.py      a line to any of them
send.py      a folder of results to an archive
network.py   DICOM over TCP that cannot hold anyone up
"""
