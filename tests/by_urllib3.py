"""A plugin of pytest: every request goes by urllib3, as if a part were missing for each route."""

from fsspec_guarded_s3._http import transport

MISSING = "what the tests took away"
vars(transport)["_missing_for"] = lambda route: MISSING
