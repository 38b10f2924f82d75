# The two commands a newcomer needs: `make demo` and `make test`. Both set everything up themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PIP    := $(BIN)/python -m pip install -qqq --retries 2 --disable-pip-version-check --progress-bar off --log $(VENV)/pip.log
# What failed, in one line; what pip said is in its log.
PIP_FAILED := { if grep -q "No space left" $(VENV)/pip.log; \
    then echo "no room on disk for the packages: make room, and run make again"; \
    else echo "a download failed: pip could not get the packages (see $(VENV)/pip.log); run make again"; \
    fi >&2; exit 1; }
NUM_PACKAGES := $(shell grep -c == requirements.lock)
# How far pip is, every few seconds as long as this shell lives: it says nothing itself, or far too much.
NEWS_S := 15
NEWS := while sleep $(NEWS_S) >/dev/null 2>&1 && kill -0 $$$$ 2>/dev/null; do \
    if grep -q "Installing collected packages: [^,]*,.*,.*,.*," $(VENV)/pip.log 2>/dev/null; \
    then echo "  installed: $$(ls -d $(VENV)/lib/python*/site-packages/*.dist-info | wc -l) packages"; \
    else echo "  found: $$(grep -cE ' Collecting | already satisfied: ' $(VENV)/pip.log 2>/dev/null) of $(NUM_PACKAGES) packages"; \
    fi; done

.PHONY: demo test test-slow test-report soak soak-simulation soak-fuzz check format lock clean

demo: $(READY)
	@$(BIN)/python -m jobs.demo

# More workers than CPUs: much of the time is spent waiting for Ray to start.
test: $(READY)
	$(BIN)/python -m pytest -m "not slow and not browser" -n 4 --max-worker-restart 0

# What takes longer: every Unicode character, larger samples, the width of XL.
test-slow: $(READY)
	$(BIN)/python -m pytest -m slow -n 2 --max-worker-restart 0

# Report pages in headless Chromium: needs the packages of the extra `browser`, and chromium and chromedriver.
test-report: $(READY)
	$(BIN)/python -m pytest tests/report

# Kills random processes of one long job, 50 times or more.
soak: $(READY)
	$(BIN)/python -m pytest tests/soak.py -s

# Kills, pauses and crashes of simulated drivers, 100,000 histories or as many as an hour has room for.
soak-simulation: $(READY)
	$(BIN)/python -m pytest tests/simulation/soak.py -s --timeout 7200

# Up to 20,000 mutated files of every format, within an hour.
soak-fuzz: $(READY)
	$(BIN)/python -m pytest tests/fuzz/soak.py -s

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Exact versions of everything. Torch is pinned by hand: the newest build is not always the one wanted,
# and its local suffix (+cpu, +cu130) is left to the machine that installs it. What tests alone need of Transformers
# has no wheels for Python 3.14. The comment at the top, which pip-compile drops, stays.
lock: $(READY)
	$(BIN)/pip install -q pip-tools
	@sed '/^[^#]/,$$d' requirements.lock > $(VENV)/comment.lock
	$(BIN)/pip-compile -q --no-header --no-annotate --strip-extras --allow-unsafe \
	    --no-emit-index-url --no-emit-find-links --extra dev --extra hub --extra evaluate --extra report \
	    --upgrade-package torch==2.13.0 -o requirements.lock pyproject.toml
	sed -i -E -e 's/^(torch==[0-9.]+)\+.*/\1/' -e 's/^(tokenizers==[^ ;]+)$$/\1; python_version < "3.14"/' requirements.lock
	@cat requirements.lock >> $(VENV)/comment.lock && mv $(VENV)/comment.lock requirements.lock

# Whatever fails says so in one line.
$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
	    { echo "no $(PYTHON) here, Python 3.11 to 3.14 is needed; try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 15) else \
	    "Python 3.11 to 3.14 is needed, found %d.%d; try: make PYTHON=python3.12" % v)'
	@echo "setting up $(VENV): some 3 GB in a few minutes, most of them for downloads; with torch for GPUs it is more"
	@echo "1 of 3: a virtual environment with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) >/dev/null || \
	    { echo "$(PYTHON) -m venv failed: install its venv package, or make room on the disk" >&2; exit 1; }
	@: > $(VENV)/pip.log
	@echo "2 of 3: the $(NUM_PACKAGES) packages of requirements.lock, by pip; its log is $(VENV)/pip.log"
	@{ $(NEWS); } & news=$$!; $(PIP) -r requirements.lock 2>/dev/null; code=$$?; kill $$news 2>/dev/null; \
	    [ $$code = 0 ] || $(PIP_FAILED)
	@echo "3 of 3: this package"
	@$(PIP) --no-deps --no-build-isolation -e . 2>/dev/null || $(PIP_FAILED)
	@echo "done: $$(du -sm $(VENV) | cut -f1) MB in $(VENV)"
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info
