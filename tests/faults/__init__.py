"""The fault matrix: every operation under every fault, with the outcome that is promised.

`table` holds the promises, `operations` what is called, `inject` how a fault is made on a real socket.
"""
