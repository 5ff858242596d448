"""The tests of other projects, with our filesystem as their `s3`.

`python -m tests.outside` (make outside) gets the tests of pinned releases from the package index, into
~/.cache/fsspec_guarded_s3/outside, runs them there in an environment of their own, and prints what passed.
Nothing of these projects is in this folder: `suites` says where the tests are, `different` which of them fail
here and why.
"""
