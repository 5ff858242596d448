"""A plugin of pytest: `s3` and `import s3fs` are ours, before any test is imported."""

from __future__ import annotations

from surroundings import forget_this_machine

import fsspec_guarded_s3

forget_this_machine()
fsspec_guarded_s3.register("s3", s3fs=True)
