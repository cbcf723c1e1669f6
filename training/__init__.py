"""Statistics of many people's answers: norms and evaluations of quizzes. Needs the extra `training` (numpy)."""
