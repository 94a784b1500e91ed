"""``python -m fastsam`` is the ``fastsam`` command."""

from fastsam.cli.main import main

if __name__ == "__main__":
    main()
