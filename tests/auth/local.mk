# tests of auth
AUTH_TEST_LIBS = $(AUTH_LIBS) $(TEST_LIBS)
check_PROGRAMS += \
	tests/auth/test_accounts \
	tests/auth/test_acl \
	tests/auth/test_control_args \
	tests/auth/test_guess_delay \
	tests/auth/test_password_hash \
	tests/auth/test_ticket \
	tests/auth/test_tls_identity \
	tests/auth/test_instance_id \
	tests/auth/test_token_secret \
	tests/auth/test_transfer

tests_auth_test_accounts_SOURCES = tests/auth/test_accounts.c tests/auth/scratch.h
tests_auth_test_accounts_CPPFLAGS = $(TEST_CPPFLAGS)
tests_auth_test_accounts_LDADD = $(AUTH_TEST_LIBS)
tests_auth_test_acl_SOURCES = tests/auth/test_acl.c
tests_auth_test_acl_CPPFLAGS = $(TEST_CPPFLAGS)
tests_auth_test_acl_LDADD = $(AUTH_TEST_LIBS)
tests_auth_test_control_args_SOURCES = tests/auth/test_control_args.c
tests_auth_test_control_args_CPPFLAGS = $(TEST_CPPFLAGS)
tests_auth_test_control_args_LDADD = $(AUTH_TEST_LIBS)
tests_auth_test_guess_delay_SOURCES = tests/auth/test_guess_delay.c
tests_auth_test_guess_delay_CPPFLAGS = $(TEST_CPPFLAGS)
tests_auth_test_guess_delay_LDADD = $(AUTH_TEST_LIBS)
tests_auth_test_password_hash_SOURCES = tests/auth/test_password_hash.c \
	server/auth/password_hash.c
tests_auth_test_password_hash_CPPFLAGS = $(TEST_CPPFLAGS) $(XCRYPT_CFLAGS)
tests_auth_test_password_hash_LDADD = $(AUTH_TEST_LIBS) $(XCRYPT_LIBS)
tests_auth_test_ticket_SOURCES = tests/auth/test_ticket.c
tests_auth_test_ticket_CPPFLAGS = $(TEST_CPPFLAGS)
tests_auth_test_ticket_LDADD = $(AUTH_TEST_LIBS)
tests_auth_test_tls_identity_SOURCES = tests/auth/test_tls_identity.c tests/auth/scratch.h
tests_auth_test_tls_identity_CPPFLAGS = $(TEST_CPPFLAGS) $(CRYPTO_CFLAGS)
tests_auth_test_tls_identity_LDADD = $(AUTH_TEST_LIBS)
tests_auth_test_instance_id_SOURCES = tests/auth/test_instance_id.c
tests_auth_test_instance_id_CPPFLAGS = $(TEST_CPPFLAGS)
tests_auth_test_instance_id_LDADD = $(AUTH_TEST_LIBS)
tests_auth_test_token_secret_SOURCES = tests/auth/test_token_secret.c
tests_auth_test_token_secret_CPPFLAGS = $(TEST_CPPFLAGS)
tests_auth_test_token_secret_LDADD = $(AUTH_TEST_LIBS)
tests_auth_test_transfer_SOURCES = tests/auth/test_transfer.c tests/auth/scratch.h
tests_auth_test_transfer_CPPFLAGS = $(TEST_CPPFLAGS)
tests_auth_test_transfer_LDADD = $(AUTH_TEST_LIBS)
