# Tests of HTTP/2, the sessions and the validator client.
check_PROGRAMS += \
	tests/server/test_credit \
	tests/server/test_h2_limits \
	tests/server/test_known_chunks \
	tests/server/test_vclient

tests_server_test_credit_SOURCES = tests/server/test_credit.c
tests_server_test_credit_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_credit_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_h2_limits_SOURCES = tests/server/test_h2_limits.c
tests_server_test_h2_limits_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_h2_limits_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_known_chunks_SOURCES = tests/server/test_known_chunks.c
tests_server_test_known_chunks_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_known_chunks_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_vclient_SOURCES = tests/server/test_vclient.c
tests_server_test_vclient_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_vclient_LDADD = $(SERVER_TEST_LIBS)
