"""Classes by which other libraries find this filesystem; each is named by an entry point.

`upath` has the class for universal_pathlib. A module here cannot be imported without its library, so nothing
else in this package imports it.

Imported by: those libraries.
Imports: `filesystem` and the values below it.
Never imports: `_s3`, `_auth`, `_http` and the command line.
"""
