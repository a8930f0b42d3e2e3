"""`python -m tokgate` is the `tokgate` command."""

import sys

from tokgate.cli import main

sys.exit(main())
