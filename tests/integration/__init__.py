"""One contract, checked against real servers."""
