"""The benchmarks of what people run: text, tables, arrays, and trees of small files."""
