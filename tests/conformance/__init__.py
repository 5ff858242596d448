"""fsspec's own tests, run against this filesystem."""
