"""`python -m tests.tools`: builds and fetches what these tests need, where it is missing."""

import sys

from tests.cluster.programs import Failed
from tests.tools.programs import bring, cache_folder

if __name__ == "__main__":
    try:
        bring(cache_folder(), lambda line: print(line, file=sys.stderr, flush=True))
    except Failed as error:
        sys.exit(str(error))
