"""The command line `guarded-s3`, with the doctor and the demo.

`commands` has the commands and what they print, `arguments` what they take, `transfers` the copies that they
make, `failures` how one ends that fails. Needs the extra `[cli]`.

Imported by: `__main__`.
Imports: `filesystem`; the doctor also looks at each layer below it, to say which one fails.
Never imports: `integrations`.
"""
