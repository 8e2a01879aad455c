# HTTP/2, the sessions that it carries, and the worker's validator client.
noinst_LIBRARIES += libsession.a
libsession_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(NGHTTP2_CFLAGS)
libsession_a_SOURCES = \
	server/session.h \
	server/vclient.c \
	server/vclient.h \
	server/vclient_int.h \
	server/vclient_msgs.c \
	server/vclient_reqs.c
# Goes before the server's own library.
SESSION_LIBS = libsession.a $(NGHTTP2_LIBS)
