"""One thread for each test process, as in `make test`: two processes of two threads on two cores take forty times as long."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch
