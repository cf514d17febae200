# The Modelling Loop. `make help` lists what there is. Every target sets up .venv by itself when it has to.
#
#   make run [PROFILE=smoke|fast|full] [DATASET=oct-phantom|octmnist|…|FILE.npz|FOLDER] [DEVICE=auto|cpu|cuda|mps]
#            [LESSONS="05 12"] [JOBS=2]

.DEFAULT_GOAL := help
.PHONY: help setup run lab progress test test-fast lint stamp refresh lock bench study serve site student classroom colab clean
.DELETE_ON_ERROR:

PY := .venv/bin/python
STAMP := .venv/.installed

# One thread a process: results repeat bit for bit, and two lessons side by side do not fight over the cores.
run lab test test-fast refresh bench study serve: export OMP_NUM_THREADS := 1
# Linux: keep the memory of a training step for the next one instead of giving it back and asking again, which costs a
# large network a sixth of its time. Results and peak memory stay as they are.
run lab test refresh: export MALLOC_MMAP_THRESHOLD_ := 67108864
run lab test refresh: export MALLOC_TRIM_THRESHOLD_ := 134217728

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# A .venv that no longer works (its Python is gone, the folder was moved) is set up again like a missing one.
WORKS := $(shell cd / && "$(CURDIR)/$(PY)" -c 'import course_utils; print(course_utils.__file__)' 2>/dev/null)
ifneq ($(WORKS),$(realpath .)/course_utils/__init__.py)
.PHONY: $(STAMP)
endif

# Find a Python from 3.11 to 3.13 and let it make .venv; tools/setup_venv.py explains itself.
$(STAMP): requirements.txt pyproject.toml
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    exec "$$python" tools/setup_venv.py; \
	  fi; \
	done; \
	found=$$(python3 --version 2>/dev/null || python --version 2>/dev/null || echo 'no Python at all'); \
	echo "This course needs Python 3.11, 3.12 or 3.13; found here: $$found." >&2; \
	echo "Install one (python.org, your system's packages, or conda), or name it: make PYTHON=/path/to/python3.12 …" >&2; \
	exit 1

setup: $(STAMP) ## make .venv with everything in it (the other targets do this by themselves)

run: $(STAMP) ## execute the lessons in order; leaves executed notebooks and summary.html in build/
	@$(PY) -m tools.run $(if $(PROFILE),--profile "$(PROFILE)") $(if $(DATASET),--dataset "$(DATASET)") \
	  $(if $(DEVICE),--device "$(DEVICE)") $(if $(LESSONS),--lessons "$(LESSONS)") $(if $(JOBS),--jobs "$(JOBS)")

lab: $(STAMP) ## open JupyterLab at the list of lessons and the first of them
	@$(PY) -m tools.launcher

progress: $(STAMP) ## which lessons and exercises are done on this machine
	@$(PY) -m course_utils.progress

test: $(STAMP) ## everything: unit, data and model tests, and every lesson executed, also as in Colab (half an hour, 6 GB)
	$(PY) -m tools.prepare
	COURSE_RUNS="$(CURDIR)/build/test/runs" $(PY) -m pytest tests build/test --nbval-lax --nbval-current-env \
	  --nbval-sanitize-with tests/notebooks/sanitize.cfg -n 2 --dist loadfile --no-loadscope-reorder --durations=20

test-fast: $(STAMP) ## unit tests and notebook hygiene, nothing executed (two to three minutes)
	$(PY) -m pytest tests/unit tests/notebooks -m "not slow" -n 2 --dist loadfile -q

lint: $(STAMP) ## ruff on code and notebooks, spelling, stamped cells
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m codespell_lib *.md docs course_utils tools tests benchmarks
	$(PY) -m tools.stamp --check

stamp: $(STAMP) ## write badges, Colab cells, the README's map and docs/CONCEPTS.md from pyproject.toml and the lessons
	$(PY) -m tools.stamp

refresh: $(STAMP) ## execute lessons and store their outputs in notebooks/ (LESSONS="05 12")
	@$(PY) -m tools.refresh $(if $(LESSONS),--lessons "$(LESSONS)") $(if $(JOBS),--jobs "$(JOBS)")

lock: $(STAMP) ## renew requirements.txt from pyproject.toml: every version pinned, for all systems
	MACOSX_DEPLOYMENT_TARGET=14.0 .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	  --extra notebooks --extra serve --extra device --extra site --extra classroom --extra dev --no-emit-index-url --no-header pyproject.toml -o requirements.txt

bench: $(STAMP) ## measure speed and difficulty on this machine, write benchmarks/RESULTS.md (NAME=one of them)
	$(PY) -m benchmarks $(NAME)

study: $(STAMP) ## run a long comparison and store its table (NAME=…)
	$(PY) -m benchmarks.study $(NAME)

serve: $(STAMP) ## answer over HTTP with the newest bundle in runs/ (BUNDLE=… PORT=8000 WORKERS=1)
	@$(PY) -m course_utils.serve assets || echo "the service starts without its page in the browser"
	@$(PY) -m course_utils.serve run $(if $(BUNDLE),--bundle "$(BUNDLE)") $(if $(PORT),--port "$(PORT)") \
	  $(if $(WORKERS),--workers "$(WORKERS)")

site: $(STAMP) ## the lessons with their outputs as pages in build/site/ that need no network
	@$(PY) -m tools.site

student: $(STAMP) ## write notebooks/exercises from notebooks/solutions
	@$(PY) -m tools.student

classroom: $(STAMP) ## a ready nbgrader course from the same exercises, in a new folder (DIR=…)
	@$(PY) -m tools.classroom $(if $(DIR),"$(DIR)")

colab: $(STAMP) ## run lessons as Colab would, each from its one file in an empty folder (LESSONS="00 05"; takes 6 GB)
	@$(PY) -m tools.colab $(if $(LESSONS),--lessons "$(LESSONS)") $(if $(JOBS),--jobs "$(JOBS)")

clean: ## remove build/ and caches; data/, runs/ and .venv stay
	rm -rf build .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
