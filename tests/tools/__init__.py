"""The tools that people use, each in its own words, against real servers."""
