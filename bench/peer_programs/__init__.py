"""One program for each peer, run in the peers' own environment: `python -m bench.peer_programs.NAME enqueue|work COUNT URL`.

Each program puts plain no-op jobs into its queue, or processes them in one worker process. It does so as its own manual says, and
prints one JSON object. These programs import nothing of casebridge; their environment has none of its dependencies.
"""
