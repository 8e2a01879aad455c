#ifndef VALIDATOR_SESSION_H
#define VALIDATOR_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/*
 * Sessions: a worker that backs up or reads, from SESSION_OPEN to its end
 * (docs/architecture.md, "Sessions of the validator").  What the rest of the
 * validator may ask of them; the sessions' own files use session_int.h.  All of
 * it is the loop's.
 */
enum session_state {
	SESSION_OPENING = 1, /* locks, base and folder in work */
	SESSION_OPEN,        /* a worker is attached */
	SESSION_AWAY,        /* after a restart: waits for its worker */
	SESSION_FINISHING,   /* the worker's death ends nothing any more */
	SESSION_FINISHED,    /* committed, locks free */
	SESSION_ABORTED,     /* why is known, locks free */
	SESSION_CLOSED,      /* only cleaning up */
	SESSION_STATE_COUNT
};

struct peer;
struct session;
struct sessions;
struct validator;
struct vstore;

struct sessions *sessions_new(struct validator *v, struct err *e);
/* Takes over what the last process left: sessions wait for their workers,
 * finishing ones go on by themselves. */
int sessions_recover(struct sessions *ss, struct err *e);
/* Before the stores' threads end: nothing is told to workers or changed in the
 * lock database any more. */
void sessions_suspend(struct sessions *ss);
/* After the stores' threads ended. */
void sessions_free(struct sessions **ss);

struct session *sessions_get(struct sessions *ss, uint64_t id);
unsigned int sessions_count(const struct sessions *ss);
/* Until fn returns non-zero. */
void sessions_each(struct sessions *ss, int (*fn)(void *arg, struct session *s),
    void *arg);
/* A store was poisoned: its open backup sessions end. */
void sessions_store_poisoned(struct sessions *ss, struct vstore *vs,
    const struct err *why);

const char *session_state_str(enum session_state state);
uint64_t session_id(const struct session *s);
/* The connection of its worker is gone: before `finishing' that is its end. */
void session_peer_gone(struct session *s, const struct err *why);
/* Ends it with this reason, unless it is committed already: ERR_BAD_STATE. */
int session_stop(struct session *s, const struct err *why, struct err *e);

struct session_info {
	uint64_t id;
	bool is_backup;
	enum session_state state;
	const char *store; /* these are lent */
	const char *ns;
	const char *snapshot;
	const char *auth_id;
	const char *peer;
	const char *upid; /* "" if there is no task (yet, or any more) */
	int64_t started;
	uint32_t worker_pid;
	const char *check; /* state of the check; NULL for a reader */
	uint64_t checked;
	uint64_t left;
	uint64_t missing;
	uint64_t deposits;
	uint64_t bytes;
};
void session_get_info(const struct session *s, struct session_info *out);

#endif
