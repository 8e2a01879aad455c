#ifndef SERVER_H2_INT_H
#define SERVER_H2_INT_H

/* Shared by h2.c (the connection) and h2_stream.c (its streams). */

#include <sys/queue.h>

#include <stdbool.h>

#include <nghttp2/nghttp2.h>

#include "server/h2.h"
#include "server/h2_limits.h"

struct event;

struct h2_stream {
	TAILQ_ENTRY(h2_stream) entry;
	struct h2 *h2;
	struct request *req;
	int32_t id;
	uint64_t received;
	uint64_t held; /* received and not given back to the client */
	uint64_t allowed;
	bool discard;    /* give back what arrives */
	bool wants_body; /* parameters do not fit the first window */
	bool has_body;   /* and has one of BODIES_MAX */
	bool reset;
};
TAILQ_HEAD(h2_streams, h2_stream);

struct h2 {
	struct event_base *base;
	struct tls_conn *conn;
	const struct h2_service *service;
	void *app;
	nghttp2_session *session;
	struct event *flush; /* something to send */
	struct event *begin; /* the early bytes */
	uint8_t *early;
	size_t early_len;
	struct h2_streams streams;
	unsigned int bodies;
	struct h2_limits limits;
	const char *abuse; /* why the client is cut off */
	bool finishing;
};

/* Something is to be sent. */
void h2_wake(struct h2 *h2);

/* ---- h2_stream.c ---- */

struct h2_stream *h2_stream_new(struct h2 *h2, int32_t id);
void h2_stream_free(struct h2_stream *s);
/* One field of the head; -1: it must not be there. */
int h2_stream_header(struct h2_stream *s, const uint8_t *name, size_t name_len,
    const uint8_t *value, size_t value_len);
/* The head is complete. */
void h2_stream_start(struct h2_stream *s);
void h2_stream_data(struct h2_stream *s, const uint8_t *data, size_t len);
/* A stream has ended: its part of what all share goes to others. */
void h2_share_bodies(struct h2 *h2);
/* nghttp2's callback for the size of a DATA frame of ours. */
ssize_t h2_stream_read_len(nghttp2_session *session, uint8_t type, int32_t id,
    int32_t session_window, int32_t stream_window, uint32_t frame_max,
    void *arg);

#endif
