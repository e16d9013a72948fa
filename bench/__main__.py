"""`python -m bench`, as `make bench` runs it."""

from bench.command import main

if __name__ == "__main__":
    main()
