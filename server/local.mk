# server/: the master, and the worker that serves one connection.
noinst_LIBRARIES += libserver.a
libserver_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS) \
	$(NGHTTP2_CFLAGS)
libserver_a_SOURCES = \
	server/err_ssl.c server/err_ssl.h \
	server/param_formats.c \
	server/params.c server/params.h \
	server/request.c server/request.h \
	server/router.c server/router.h \
	server/session.h \
	server/signer.c server/signer.h \
	server/tls.c server/tls.h server/tls_int.h \
	server/tls_ctx.c \
	server/vclient.h

SERVER_LIBS = libserver.a $(FORMAT_LIBS) $(COMMON_LIBS) $(NGHTTP2_LIBS) \
	$(HTTP_PARSER_LIBS) $(SSL_LIBS)
# server: see HACKING.md
include server/session.mk
