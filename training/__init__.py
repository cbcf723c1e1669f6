"""Statistics of many people's answers: norms and evaluations of quizzes. Needs the extra `training` (numpy)."""

import os

# Before numpy is imported: matrices are small here, and threads that wait for each other take longer than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
