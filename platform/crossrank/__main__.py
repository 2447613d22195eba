"""``python -m crossrank``."""

from crossrank.cli.main import main

main()
