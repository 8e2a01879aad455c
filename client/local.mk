# client/: holdfast, the backup client.
noinst_LIBRARIES += libclient.a
libclient_a_CPPFLAGS = $(AM_CPPFLAGS) $(SSL_CFLAGS) $(NGHTTP2_CFLAGS)
libclient_a_SOURCES = \
	client/client.h client/commands.def client/options.def \
	client/access.c client/access.h \
	client/backup.c \
	client/benchmark.c \
	client/call.c client/call.h \
	client/download.c client/download.h \
	client/h2.c client/h2.h \
	client/http.c client/http.h \
	client/known.c client/known.h \
	client/listing.c client/listing.h \
	client/manage.c \
	client/namespaces.c \
	client/places.c client/places.h \
	client/progress.c client/progress.h \
	client/remote.c client/remote.h \
	client/repository.c client/repository.h \
	client/restore.c \
	client/session.c client/session.h \
	client/source.c client/source.h \
	client/spec.c client/spec.h \
	client/target.c client/target.h \
	client/tasks.c \
	client/tls.c client/tls.h \
	client/trust.c client/trust.h \
	client/upload.c client/upload.h client/upload_int.h \
	client/upload_read.c
CLIENT_LIBS = libclient.a $(FORMAT_LIBS) $(COMMON_LIBS) $(NGHTTP2_LIBS) \
	$(SSL_LIBS) $(CRYPTO_LIBS)

bin_PROGRAMS += holdfast
holdfast_SOURCES = client/main.c
holdfast_LDADD = $(CLIENT_LIBS)
