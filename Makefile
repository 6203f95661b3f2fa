# `make new` creates a project, `make test` tests the template. Both install what they need into .venv.

PYTHON ?= python3
BIN := .venv/bin
# Two workers for each processor, since tests often wait for a process or for the network. One that has nothing left
# takes tests over.
WORKERS = -n $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))') --dist worksteal

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1: \2/p' Makefile

new: .venv/new ## ask the questions and create a project: make new ARGS="--no-input -o DIR project_name='Orders API'"
	@$(BIN)/cookiecutter . $(ARGS)

test: .venv/test ## lint the template and run the tests that are not marked long or deployment: make test ARGS="-k hooks"
	@$(BIN)/ruff check --no-cache
	@$(BIN)/ruff format --check --no-cache
	@$(BIN)/python -B -m pytest $(WORKERS) $(ARGS)

test-all: .venv/test ## run make test, all deployments, the tests of a project for each pair of answers, mutation tests, and the suites of FastAPI and Starlette
	@$(BIN)/python -B -m pytest $(WORKERS) --all-projects $(ARGS)

test-deploy: .venv/test ## run the tests marked deployment: whole projects are checked, and deployed with each deployer to an emulator of AWS: make test-deploy ARGS="-k sam"
	@$(BIN)/python -B -m pytest $(WORKERS) --deployments -m deployment $(ARGS)

bench: .venv/bench ## measure cold starts, warm requests and builds: see benchmarks/README.md
	@for name in cold_start warm_request build_time realistic state tables; do PYTHONPATH=. $(BIN)/python -B benchmarks/$$name.py || exit 1; done

pictures: .venv/test ## record the questions at a terminal, and write docs/questions.svg
	@$(BIN)/python -B -m tests.pictures

lock: .venv/test ## pin the newest versions: of the tools in requirements/, and of what a rendered project starts with
	@$(BIN)/python -B -m tests.lock
	@$(BIN)/python -B -m tests.pictures

.venv/new: requirements/new.txt
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 10) or sys.exit('Python 3.10 or newer is needed, this is ' + sys.version)"
	@echo "Making .venv ..."
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv failed; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/new.txt
	@touch $@

# Without bytecode each process of a test would compile what it imports.
.venv/test: .venv/new requirements/test.txt
	@echo "Installing the test tools into .venv ..."
	@$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/test.txt
	@touch $@

.venv/bench: .venv/test requirements/bench.txt
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements/bench.txt
	@touch $@

.PHONY: help new test test-all test-deploy bench pictures lock
