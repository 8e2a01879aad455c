# tests of server
SERVER_TEST_LIBS = $(SERVER_LIBS) $(EVENT_LIBS) $(TEST_LIBS)
check_LIBRARIES += tests/server/libtlspeer.a
tests_server_libtlspeer_a_SOURCES = \
	tests/server/tls_peer.c tests/server/tls_peer.h
tests_server_libtlspeer_a_CPPFLAGS = $(TEST_CPPFLAGS) $(SSL_CFLAGS)

check_PROGRAMS += \
	tests/server/test_aclient \
	tests/server/test_address_count \
	tests/server/test_coro \
	tests/server/test_file_path \
	tests/server/test_http1 \
	tests/server/test_http1_parser \
	tests/server/test_identity \
	tests/server/test_pack \
	tests/server/test_params \
	tests/server/test_render \
	tests/server/test_router \
	tests/server/test_server_conf \
	tests/server/test_tls

tests_server_test_address_count_SOURCES = tests/server/test_address_count.c
tests_server_test_address_count_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_address_count_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_coro_SOURCES = tests/server/test_coro.c
tests_server_test_coro_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_coro_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_file_path_SOURCES = tests/server/test_file_path.c
tests_server_test_file_path_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_file_path_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_pack_SOURCES = tests/server/test_pack.c
tests_server_test_pack_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_pack_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_http1_SOURCES = tests/server/test_http1.c
tests_server_test_http1_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_http1_LDADD = tests/server/libtlspeer.a $(SERVER_TEST_LIBS)
tests_server_test_http1_parser_SOURCES = tests/server/test_http1_parser.c
tests_server_test_http1_parser_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_http1_parser_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_identity_SOURCES = tests/server/test_identity.c
tests_server_test_identity_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_identity_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_params_SOURCES = tests/server/test_params.c
tests_server_test_params_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_params_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_render_SOURCES = tests/server/test_render.c
tests_server_test_render_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_render_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_router_SOURCES = tests/server/test_router.c
tests_server_test_router_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_router_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_server_conf_SOURCES = tests/server/test_server_conf.c
tests_server_test_server_conf_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_server_conf_LDADD = $(SERVER_TEST_LIBS)
tests_server_test_tls_SOURCES = tests/server/test_tls.c
tests_server_test_tls_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_tls_LDADD = tests/server/libtlspeer.a $(SERVER_TEST_LIBS)
tests_server_test_aclient_SOURCES = tests/server/test_aclient.c
tests_server_test_aclient_CPPFLAGS = $(TEST_CPPFLAGS)
tests_server_test_aclient_LDADD = $(SERVER_TEST_LIBS)
include tests/server/session.mk
