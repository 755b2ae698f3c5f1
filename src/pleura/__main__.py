"""`python -m pleura`, where the command `pleura` is not on the path."""

from pleura.cli import main

if __name__ == "__main__":
    main()
