"""`python -m palpate`: the command line."""

from palpate.cli import main

if __name__ == "__main__":
    main()
