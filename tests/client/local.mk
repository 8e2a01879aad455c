# tests of client
check_PROGRAMS += \
	tests/client/test_access \
	tests/client/test_http \
	tests/client/test_known \
	tests/client/test_progress \
	tests/client/test_repository \
	tests/client/test_source \
	tests/client/test_spec \
	tests/client/test_trust

tests_client_test_access_SOURCES = tests/client/test_access.c
tests_client_test_access_CPPFLAGS = $(TEST_CPPFLAGS)
tests_client_test_access_LDADD = $(CLIENT_LIBS) $(TEST_LIBS)
tests_client_test_http_SOURCES = tests/client/test_http.c
tests_client_test_http_CPPFLAGS = $(TEST_CPPFLAGS)
tests_client_test_http_LDADD = $(CLIENT_LIBS) $(TEST_LIBS)
tests_client_test_known_SOURCES = tests/client/test_known.c
tests_client_test_known_CPPFLAGS = $(TEST_CPPFLAGS)
tests_client_test_known_LDADD = $(CLIENT_LIBS) $(TEST_LIBS)
tests_client_test_progress_SOURCES = tests/client/test_progress.c
tests_client_test_progress_CPPFLAGS = $(TEST_CPPFLAGS)
tests_client_test_progress_LDADD = $(CLIENT_LIBS) $(TEST_LIBS)
tests_client_test_repository_SOURCES = tests/client/test_repository.c
tests_client_test_repository_CPPFLAGS = $(TEST_CPPFLAGS)
tests_client_test_repository_LDADD = $(CLIENT_LIBS) $(TEST_LIBS)
tests_client_test_source_SOURCES = tests/client/test_source.c
tests_client_test_source_CPPFLAGS = $(TEST_CPPFLAGS)
tests_client_test_source_LDADD = $(CLIENT_LIBS) $(TEST_LIBS)
tests_client_test_spec_SOURCES = tests/client/test_spec.c
tests_client_test_spec_CPPFLAGS = $(TEST_CPPFLAGS)
tests_client_test_spec_LDADD = $(CLIENT_LIBS) $(TEST_LIBS)
tests_client_test_trust_SOURCES = tests/client/test_trust.c
tests_client_test_trust_CPPFLAGS = $(TEST_CPPFLAGS)
tests_client_test_trust_LDADD = $(CLIENT_LIBS) $(TEST_LIBS)
