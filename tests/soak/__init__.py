"""A soak: many threads and processes write, read, race and swap under random faults; nothing may be lost.

python -m tests.soak --minutes 5 [--seed N] [--processes 2] [--threads 4]
"""
