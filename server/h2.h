#ifndef SERVER_H2_H
#define SERVER_H2_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct event_base;
struct h2;
struct request;
struct route;
struct tls_conn;

/*
 * The server's side of HTTP/2 (wire-protocol 4.3) on a connection that was
 * upgraded: each stream is a struct request.
 *
 * Flow control (DESIGN, step 8): the connection's window is returned as bytes
 * arrive, so no stream can starve another.  A stream's body may have
 * H2_WINDOW bytes; a handler that wants more calls h2_allow() when it has
 * room.  Bodies of calls with parameters share a fixed budget; bodies after
 * the reply are thrown away.
 */
#define H2_WINDOW 65535u
#define H2_STREAMS_MAX 256u
#define H2_FRAME_MAX (256u << 10)

struct h2_service {
	const struct route *routes;
	size_t count;
	/* Whether that route may be used now; -1 with the error for it. */
	int (*admit)(void *app, const struct route *route, struct err *e);
	/* A response with status 400 or more goes out; may be NULL. */
	void (*failed)(void *app, const struct request *req);
	/* The connection is over and every request was cancelled; why is NULL
	 * if the client just ended it.  Called once, from the loop; h2_free()
	 * may be called in it. */
	void (*ended)(void *app, const struct err *why);
};

/*
 * Takes conn, whose client has the right to speak HTTP/2 now (its preface
 * comes next).  early: bytes that were read already, lent.  app is the
 * requests' app and the callbacks' argument.
 */
struct h2 *h2_new(struct event_base *base, struct tls_conn *conn,
    const struct h2_service *service, void *app, const uint8_t *early,
    size_t early_len);
/* Cancels every request, closes the connection.  NULL is accepted. */
void h2_free(struct h2 *h2);
/* Says goodbye: no new streams; ends when those that are there have ended. */
void h2_finish(struct h2 *h2);

/* The body of req may be total bytes long, all in all; never less than
 * before. */
void h2_allow(struct request *req, uint64_t total);
/* The body is not kept: its bytes may come as fast as they want. */
void h2_allow_any(struct request *req);

#endif
