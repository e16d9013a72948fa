"""`make bench`: how fast casebridge is and what it costs. Each figure is compared with a peer or a bound from the same run.

Each measurement is one module and gives several rows. `docs/benchmarks.md` explains how to read them. Nothing here is part of an
installation.

    command            options, and the order of the measurements
    context            what each measurement gets
    installation       databases, settings and processes of one measurement
    simulation         simulators with institutions, requests and assessors
    queue_throughput, whole_cases, latency, full_sync, growth, recovery, writes   the measurements
    no_op_queue, carrier, listening   programs that run in processes of their own; `program` has what they have in common
    processor_time     what limits a measurement
    command_log, write_replay, index_entries   the commands to MongoDB, and the index entries that they write
    call_log           records the HTTP calls of a run and repeats them
    peers, peer_programs   the queues that casebridge is compared with
    row, table         the result
"""
