"""`recording-sandbox`, also as `python -m recording_sandbox`."""

from recording_sandbox.cli import sandbox


def main() -> None:
    """Serve the emulated API until SIGTERM or SIGINT."""
    sandbox(prog_name="recording-sandbox")


if __name__ == "__main__":
    main()
