"""nbgrader's settings for a class: `make classroom DIR=…` copies this file into the new course folder.

Change course_id and, for a hub with several classes, the exchange; nbgrader's own documentation explains the rest.
"""

import os

# What the checks note down is the learner's, not the teacher's: it goes beside the course, not into the lessons' runs/.
os.environ["COURSE_RUNS"] = os.path.abspath("runs")

c = get_config()  # noqa: F821 - nbgrader brings it

c.CourseDirectory.course_id = "modelling-loop"

# The stub that `make student` writes: an exercise with dots in it counts as not tried, and the notebook still runs.
c.ClearSolutions.code_stub = {"python": "...  # your turn"}
c.ClearSolutions.text_stub = "*Your answer.*"

# A check takes seconds; whoever waits longer is in an endless loop.
c.ExecutePreprocessor.timeout = 120
c.ExecutePreprocessor.interrupt_on_timeout = True
