"""`python -m misc` is the command `misc`."""

from .cli import main

if __name__ == "__main__":
    main()
