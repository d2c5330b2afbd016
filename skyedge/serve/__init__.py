"""Masks over HTTP: `run.py` is the command, `app.py` the web application, which needs the extra `serve`."""
