import sys
from pathlib import Path

# The peers (other programs' answers to the same question) are shared by the tests of several rooms and the benchmarks.
sys.path.insert(0, str(Path(__file__).parent))
