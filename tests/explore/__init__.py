"""Every history of the guarded writes on a simulated S3, by enumeration.

- `store`: S3 without sockets, what a request can meet there, and what a rival can do.
- `facts`: what of a history the promises ask for.
- `fingerprint`: the state of the real code at a request, read off its stack.
- `program`: the real code as an automaton, found out by running it.
- `search`: all histories of the two together; equal states are gone into once.
- `plain`: the same one history after the other, to check that.
- `scene`: what is another thing meanwhile: no threads, a clock that stands still.
- `many_keys`, `commits`: the same for logs, pointers and tables, which have many objects.
- `calls`: what is called; `promises`: what must hold after it.
"""
