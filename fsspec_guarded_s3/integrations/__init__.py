"""Classes by which other libraries find this filesystem; each is named by an entry point.

A module here may need its library to be imported at all, so nothing else of this package imports it.

Imported by: those libraries.
Imports: `filesystem` and the values below it.
Never imports: `_s3`, `_auth`, `_http` and the command line.
"""
