"""`python -m smoke_vq`, and `accelerate launch -m smoke_vq`: the command `smoke-vq`."""

from .cli import main

if __name__ == "__main__":
    main()
