# docs/: for operators and developers.
EXTRA_DIST += docs/accounts.md docs/architecture.md \
	docs/compatibility.md docs/performance.md
