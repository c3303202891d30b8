"""The command ``leakbench``. What it needs takes a moment to import, and Ctrl-C may come before that is done."""


def main() -> None:
    """Entry point."""
    try:
        from leakbench.benchmarks.cli import app as cli
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    cli.main()


if __name__ == "__main__":
    main()
