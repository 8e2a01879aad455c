# tests of common
COMMON_TEST_LIBS = $(COMMON_LIBS) $(LMDB_LIBS) $(TEST_LIBS)

check_PROGRAMS += tests/common/test_sandbox
tests_common_test_sandbox_SOURCES = tests/common/test_sandbox.c
tests_common_test_sandbox_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_sandbox_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_cli tests/common/test_prompt \
	tests/common/test_table
tests_common_test_cli_SOURCES = tests/common/test_cli.c
tests_common_test_cli_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_cli_LDADD = $(COMMON_TEST_LIBS)
tests_common_test_prompt_SOURCES = tests/common/test_prompt.c
tests_common_test_prompt_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_prompt_LDADD = $(COMMON_TEST_LIBS)
tests_common_test_table_SOURCES = tests/common/test_table.c
tests_common_test_table_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_table_LDADD = $(COMMON_TEST_LIBS)
