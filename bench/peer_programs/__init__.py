"""One program a peer, run by the peers' own environment: `python -m bench.peer_programs.NAME enqueue|work COUNT URL`.

Each puts plain no-op jobs into its queue, or works them off in one worker process, in the way of its own manual, and prints one
JSON object. Nothing of casebridge is imported here, and none of its dependencies is in that environment.
"""
