"""`python -m depin_desktop.cli`."""

from depin_desktop.cli.root import main

if __name__ == "__main__":
    main()
