"""The command line `guarded-s3`, with the doctor and the demo.

`commands` has the commands and what they print. `arguments` has what they take. `transfers` makes the
copies of `cp` and `cat`. `failures` says how a command ends that fails. `doctor` and `demo` are a command
each. The doctor's checks are in `reaching` (before the first request), `asking` (by requests), `store_names`
and `guard_report`, and what it knows in `findings`. All of it needs the extra `[cli]`.

Imported by: `__main__`.
Imports: `filesystem`; the doctor also looks at each layer below it, to say which one fails.
Never imports: `integrations`.
"""
