"""``python -m crossrank``."""

from crossrank.cli import main

main()
