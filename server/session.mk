# HTTP/2, the sessions that it carries, and the worker's validator client.
libserver_a_CPPFLAGS += $(NGHTTP2_CFLAGS)
libserver_a_SOURCES += \
	server/h2.c server/h2.h \
	server/h2_limits.c server/h2_limits.h \
	server/vclient.c server/vclient.h server/vclient_int.h \
	server/vclient_msgs.c \
	server/vclient_reqs.c
SERVER_LIBS += $(NGHTTP2_LIBS)
