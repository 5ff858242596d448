"""Speed, CPU and memory of `fsspec_guarded_s3` beside its peers, on loopback.

`python -m benchmarks` runs it; README.md says what each row measures. The layers, downward:

    __main__ -> run -> report
                run -> worker -> scenarios -> peers
                run -> server  (a process of its own) -> corpus
"""
