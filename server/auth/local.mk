# server/auth: accounts, passwords, tickets, tokens, rights, grants, signing.
# libserverconf.a: what the master, the workers and auth share.
noinst_LIBRARIES += libserverconf.a libauth.a
libserverconf_a_CPPFLAGS = $(AM_CPPFLAGS) $(CRYPTO_CFLAGS)
libserverconf_a_SOURCES = \
	server/err_ssl.c server/err_ssl.h \
	server/options.c server/options.h \
	server/server_conf.c server/server_conf.h

libauth_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(CRYPTO_CFLAGS)
libauth_a_SOURCES = \
	server/auth/access.c server/auth/access.h server/auth/access_ops.def \
	server/auth/accounts.c server/auth/accounts.h \
	server/auth/accounts_acl.c server/auth/accounts_int.h \
	server/auth/acl.c server/auth/acl.h \
	server/auth/auth.h \
	server/auth/auth_init.c server/auth/auth_init.h \
	server/auth/control.c server/auth/control.h \
	server/auth/control_args.c server/auth/control_cmds.def \
	server/auth/control_rights.c \
	server/auth/control_users.c \
	server/auth/guess_delay.c server/auth/guess_delay.h \
	server/auth/hasher.c server/auth/hasher.h \
	server/auth/instance_id.c server/auth/instance_id.h \
	server/auth/login.c \
	server/auth/password_rules.c \
	server/auth/reply.c \
	server/auth/rights.c \
	server/auth/secrets.c server/auth/secrets.h \
	server/auth/ticket.c server/auth/ticket.h \
	server/auth/tls_identity.c server/auth/tls_identity.h \
	server/auth/tls_message.c server/auth/tls_message.h \
	server/auth/tls_selfsigned.c \
	server/auth/token_secret.c server/auth/token_secret.h \
	server/auth/transfer.c \
	server/auth/view.c \
	server/auth/worker_peer.c server/auth/worker_peer.h

AUTH_LIBS = libauth.a libserverconf.a $(FORMAT_LIBS) $(COMMON_LIBS) \
	$(LMDB_LIBS)
pkglibexec_PROGRAMS += holdfast-auth holdfast-hasher
holdfast_auth_SOURCES = server/auth/main.c
holdfast_auth_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
holdfast_auth_LDADD = $(AUTH_LIBS)

# The hasher links neither LMDB nor anything else of auth.
holdfast_hasher_SOURCES = server/auth/hasher_main.c \
	server/auth/password_hash.c server/auth/password_hash.h
holdfast_hasher_CPPFLAGS = $(AM_CPPFLAGS) $(XCRYPT_CFLAGS)
holdfast_hasher_LDADD = $(COMMON_LIBS) $(XCRYPT_LIBS)
