"""The soak: casebridge on a very bad day, for as long as one likes; at the end nothing may be lost or done twice.

`make soak MESSAGES=… SECONDS=… SEED=…`, or `python -m tests.soak`. Real listeners and pollers are killed, frozen, cut off and
given wrong clocks, the database server is killed, the neighbours answer badly; then everything is mended and carried to its end.

    plan          what happens, and at which point of the work: decided by the seed
    installation  the processes and servers, and the proxies between them
    server        the database server: embedded, or given by address
    faults        how each kind of fault is done and undone
    data_faults   what FS and WISEflow get wrong, and how it ought to end
    foreign_documents   what others write into the queue
    scenario      the work itself: requests appear, answers change, faults strike, operators replay
    checks        what is counted at the end, in the simulators first
    told_differences    who was told of what
    evidence      what is kept of a soak that falls short
    poller, wandering_clock   programs that run in processes of their own
"""
