# server/: the master, and the worker that serves one connection.
# libserver.a has what both programs share with tests; thin mains stand apart.
noinst_LIBRARIES += libserver.a
libserver_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(SSL_CFLAGS)
libserver_a_SOURCES = \
	server/aclient.c server/aclient.h \
	server/address_count.c server/address_count.h \
	server/api.c server/api.h server/api_int.h server/routes.def \
	server/api_access.c \
	server/api_call.c \
	server/api_datastore.c \
	server/api_file.c \
	server/api_health.c \
	server/api_params.c \
	server/api_snapshot.c \
	server/api_task.c \
	server/api_upgrade.c \
	server/coro.c server/coro.h \
	server/file_archive.c server/file_archive.h \
	server/file_job.c server/file_job.h \
	server/file_tree.c server/file_tree.h \
	server/http1.c server/http1.h \
	server/http1_parser.c server/http1_parser.h \
	server/identity.c server/identity.h \
	server/master.c server/master.h server/master_int.h \
	server/master_auth.c \
	server/master_listen.c \
	server/master_pool.c \
	server/pack.h \
	server/pack_tar.c \
	server/pack_zip.c \
	server/pack_zstd.c \
	server/param_formats.c \
	server/params.c server/params.h \
	server/render.c server/render.h server/render_int.h \
	server/render_tasks.c \
	server/request.c server/request.h \
	server/router.c server/router.h \
	server/session_http.h \
	server/signer.c server/signer.h \
	server/tls.c server/tls.h server/tls_int.h \
	server/tls_ctx.c \
	server/worker.c server/worker.h

SERVER_LIBS = libserver.a libserverconf.a $(FORMAT_LIBS) $(COMMON_LIBS) \
	$(HTTP_PARSER_LIBS) $(SSL_LIBS)

sbin_PROGRAMS += holdfast-server
holdfast_server_SOURCES = server/master_main.c
holdfast_server_LDADD = libserver.a libserverconf.a $(COMMON_LIBS)

include server/session.mk

pkglibexec_PROGRAMS += holdfast-worker
holdfast_worker_SOURCES = server/worker_main.c
holdfast_worker_LDADD = $(SERVER_LIBS)
