"""`python -m evo` is the same as `evo`."""

from evo.cli.main import main

if __name__ == "__main__":
    main()
