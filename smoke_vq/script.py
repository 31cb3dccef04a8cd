"""What every script shares: a user's mistake ends in one sentence, not in a stack of frames."""

import sys
from collections.abc import Callable


def run(main: Callable[[], None]) -> None:
    """Call `main`; ValueError and OSError (what a user wrote or named) become `error: <sentence>` and exit status 2."""
    try:
        main()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
