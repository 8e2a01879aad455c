# HTTP/2, the sessions that it carries, and the worker's validator client.
libserver_a_CPPFLAGS += $(NGHTTP2_CFLAGS)
libserver_a_SOURCES += \
	server/h2.c server/h2.h server/h2_int.h \
	server/h2_stream.c \
	server/h2_limits.c server/h2_limits.h \
	server/credit.c server/credit.h \
	server/known_chunks.c server/known_chunks.h \
	server/h2_routes.def server/session.c server/session.h \
	server/session_int.h server/session_files.c \
	server/session_http.c server/session_http.h server/session_index.c \
	server/session_calls.c server/session_params.c server/session_params.h \
	server/session_upload.c \
	server/vclient.c server/vclient.h server/vclient_int.h \
	server/vclient_msgs.c \
	server/vclient_reqs.c
SERVER_LIBS += $(NGHTTP2_LIBS)
