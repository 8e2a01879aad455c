# tests of validator
check_PROGRAMS += tests/validator/test_judge
tests_validator_test_judge_SOURCES = tests/validator/test_judge.c
tests_validator_test_judge_CPPFLAGS = $(TEST_CPPFLAGS)
tests_validator_test_judge_LDADD = libchecker.a $(FORMAT_LIBS) \
	$(COMMON_LIBS) $(TEST_LIBS)
