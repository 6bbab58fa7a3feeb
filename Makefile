# One word for everything: `make ci` is what CI runs; `make check` the quick part, while you work.

.PHONY: ci check format test

ci:
	bash .ci/run

check:
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	.venv/bin/pytest tests/unit -q

format:
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

test:
	.venv/bin/pytest
