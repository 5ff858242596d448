"""The command line `guarded-s3`, with the doctor and the demo.

`group` is what all commands belong to and share. `looking` has the commands that look, `copying` those that
write, `commands` the rest and what runs them. `arguments` has what they take,
`guesses` what others call it. `transfers` plans and makes
copies, `sync` finds differences. `failures` says how a command ends that fails. `doctor` and `demo` are a
command each. The doctor's checks are in `reaching` (before the first request), `asking` (by requests),
`store_names` and `guard_report`, and what it knows in `findings`. All of it needs the extra `[cli]`.

Imported by: `__main__`.
Imports: `filesystem`; the doctor also looks at each layer below it, to say which one fails.
Never imports: `integrations`.
"""
