"""`python -m cli`: the same as `vaultline`."""

from cli.main import main

if __name__ == "__main__":
    main()
