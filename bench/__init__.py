"""`make bench`: how fast casebridge is and what it costs, each figure beside that of a peer or of a bound in the same run.

Each measurement is one module and gives several rows. `docs/benchmarks.md` explains how to read them. Nothing here is part of an
installation.

    command            options, and the order of the measurements
    context            what a measurement is given
    installation       databases, settings and processes of one measurement
    simulation         simulators with institutions, requests and assessors
    queue_throughput, whole_cases, latency, full_sync, growth, recovery, writes   the measurements
    no_op_queue, carrier, listening   programs that run in processes of their own, with `program` for what they share
    processor_time     what limits a measurement
    command_log, write_replay, index_entries   what is sent to MongoDB and which index entries it writes
    call_log           the HTTP calls of a run, to be made again
    peers, peer_programs   the queues that casebridge is compared with
    row, table         the result
"""
