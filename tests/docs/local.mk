# tests of docs
dist_check_SCRIPTS += tests/docs/test_man.sh tests/docs/test_log.sh \
	tests/docs/test_references.sh
EXTRA_DIST += tests/docs/log_lines.pl
