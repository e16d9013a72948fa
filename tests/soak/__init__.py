"""The soak: casebridge on a very bad day, for as long as one likes; at the end the books must balance.

`make soak MESSAGES=… SECONDS=… SEED=…`, or `python -m tests.soak`. Real listeners and pollers are killed, frozen, cut off and
given wrong clocks, the database server is killed, the neighbours answer badly; then everything is mended and carried to its end.

    plan          what happens, and at which point of the work: decided by the seed
    installation  the processes and servers, and the cables between them
    faults        how each kind of fault is done and undone
    day           the work itself: requests appear, answers change, faults strike, operators replay
    books         what is counted at the end, in the simulators first
    poller, wandering_clock   programs that run in processes of their own
"""
