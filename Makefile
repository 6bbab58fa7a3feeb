# One word for everything: `make ci` is what CI runs; `make check` the quick part, while you work.

.PHONY: ci check coverage format test

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

# The real processes are measured too; takes about twice as long as the tests alone.
coverage:
	.venv/bin/coverage run -m pytest
	# A process that a test kills may leave half a data file, which combine complains about and leaves out.
	-.venv/bin/coverage combine --quiet
	.venv/bin/coverage report --skip-covered --fail-under=95
