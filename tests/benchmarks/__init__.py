"""The benchmarks: what is drawn, counted, compared and told."""
