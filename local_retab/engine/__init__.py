"""Tokens in, tokens out: continuous batching of grammar-held generations over llama.cpp. Knows nothing of documents."""

import os

SPINS = "10000"
"""About 0.3 ms, in which a thread of llama.cpp looks for more work before it sleeps (see docs/decisions/033)."""

# OpenMP reads it once, when llama.cpp is loaded, and would otherwise spin for some 8 ms: from one call to the next.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
