# tests of common
COMMON_TEST_LIBS = $(COMMON_LIBS) $(LMDB_LIBS) $(TEST_LIBS)

check_PROGRAMS += tests/common/test_sandbox
tests_common_test_sandbox_SOURCES = tests/common/test_sandbox.c
tests_common_test_sandbox_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_sandbox_LDADD = $(COMMON_TEST_LIBS)
