"""`python -m colorize_training`, where the package is only on the path and not installed."""

import sys

from colorize_training.main import main

sys.exit(main())
