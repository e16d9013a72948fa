"""The soak: a long test that injects faults into a running installation, and counts what was lost, done twice or got wrong.

`make soak MESSAGES=… SECONDS=… SEED=…`, or `python -m tests.soak`. Listeners and pollers are killed, frozen, disconnected and
given wrong clocks. The database server is killed. FS, WISEflow, LaaS and Slack answer badly. Then all faults are removed, and the
work is carried to its end.

    plan          the faults, and the point of the work at which each happens: decided by the seed
    installation  the processes and servers, and the proxies between them
    server        the database server: embedded, or given by address
    faults        how each kind of fault is injected and undone
    data_faults   wrong data of FS and WISEflow, and how each case must end
    odd_documents documents that others write into the queue
    scenario      the work: requests appear, answers change, faults are injected, dead messages are replayed
    checks        the counts at the end
    reporting     which differences were reported to people
    evidence      the files that are kept if a count is not 0
    poller, wrong_clock   programs that run in processes of their own
"""
