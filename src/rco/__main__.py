"""``python -m rco`` is the command ``rco``."""

from rco.cli import main

if __name__ == "__main__":
    main()
