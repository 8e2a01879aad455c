# server/auth: accounts, passwords, tickets, tokens, rights, grants, signing.
# libserverconf.a: server.conf, for the master, the workers and auth.
noinst_LIBRARIES += libserverconf.a
libserverconf_a_SOURCES = server/server_conf.c server/server_conf.h

EXTRA_DIST += server/auth/access_ops.def server/auth/access.h
