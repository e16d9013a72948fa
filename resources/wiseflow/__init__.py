"""WISEflow, the exam system: its API and the port `ExamSystem` on top of it."""
