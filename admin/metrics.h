#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

struct err;
struct json;
struct sbuf;

/*
 * What monitoring wants to know, from both daemons: gathered here, written in
 * Prometheus' text format (metrics_text.c), and served over HTTP
 * (metrics_http.c).
 */
struct metrics {
	struct json *auth;     /* status; NULL: does not answer */
	struct json *counters; /* of the validator, likewise */
	struct json *stores;
	struct json *sessions;
	struct json *locks;
};

/* Asks; a daemon that does not answer leaves its members NULL. */
void metrics_gather(struct metrics *m, const char *run_dir);
void metrics_fini(struct metrics *m);
/* NULL if clients can be served, else why not. */
const char *metrics_trouble(const struct metrics *m);

void metrics_write(struct sbuf *out, const struct metrics *m);

/*
 * Answers one HTTP request on standard input (a connection that a service
 * manager accepted): GET /metrics, GET /health.  -1 only if that cannot be
 * written.
 */
int metrics_serve(const char *run_dir, struct err *e);

#endif
