"""`python -m deepconv.cli` is `deepconv`."""

from deepconv.cli import main

if __name__ == "__main__":
    main()
