from __future__ import annotations

import os

# Python 3.9 starts subprocesses by a plain fork, in which gRPC's handlers abort the child now and then.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # read when grpc is imported
