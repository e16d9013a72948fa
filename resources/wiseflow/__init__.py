"""WISEflow, the exam system: the client of its API, and the port `ExamSystem` on top of it."""
