"""The console: a run, live or recorded, as one page in a browser; it reads and, but for start and stop, changes nothing.

`state.py` turns records into what the page shows, the same for both; `server.py` serves it to browsers, `page/` draws it.
"""
