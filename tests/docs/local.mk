# tests of docs
dist_check_SCRIPTS += tests/docs/test_man.sh
