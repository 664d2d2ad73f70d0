"""One `cordon` command that ends when the process that started it is gone, however that ended.

The starter holds the other end of stdin and writes one line to it; see `cordon_common.processes`.
"""

import sys

from cordon_common.cli.main import main
from cordon_common.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(sys.argv[1:]))
