#ifndef VALIDATOR_STORE_POISON_H
#define VALIDATOR_STORE_POISON_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct store_state;

/*
 * What this server must remember of a store over a power cut, in
 * STATE/validator/<name>.store: a failed sync, the last successful one, the
 * clean end, and which times make a chunk suspect.  Written whole and synced
 * on each change.  All but the loads of atomics may block; thread-safe.
 *
 * The kernel reports a failed fsync or syncfs once and then forgets it, so
 * the record is written before anything else is done about it.
 */

#define STORE_REASON_MAX 256
/* A chunk may be this much older than the sync that missed it: granularity
 * of file times and clock steps. */
#define STORE_SUSPECT_MARGIN_S 60

struct store_state_info {
	bool poisoned;
	int64_t poisoned_at;
	char reason[STORE_REASON_MAX];
	int64_t last_sync;    /* start of the last successful one, 0: never */
	bool was_clean;       /* the end of the run before */
	int64_t suspect_from; /* ctimes of suspect chunks, 0 and 0: none */
	int64_t suspect_to;
};

/* Loads the record, or starts one (also if it is damaged: then everything up
 * to now is suspect), and notes that the store is in use.  dirfd is lent
 * for the call. */
int store_state_open(struct store_state **out, int dirfd, const char *name,
    struct err *e);
/* clean: marks a clean end. */
void store_state_close(struct store_state **st, bool clean);
void store_state_get(struct store_state *st, struct store_state_info *out);

/* Never block. */
bool store_state_is_poisoned(struct store_state *st);
bool store_state_is_suspect(struct store_state *st, int64_t ctime_s);

/* 0 if not poisoned, else ERR_POISONED with the reason; never blocks long. */
int store_state_check(struct store_state *st, struct err *e);
/* Returns -1 with the store's ERR_POISONED in e, whatever else fails. */
int store_state_poison(struct store_state *st, const char *reason,
    struct err *e);
/* The operator's word; suspects stay until verified. */
int store_state_clear(struct store_state *st, struct err *e);
/* A syncfs that began at started (Unix time) has succeeded.  Written at most
 * every few seconds: an older time is only more careful. */
int store_state_synced(struct store_state *st, int64_t started, struct err *e);

/* The same record of a store that is not open, for the operator; ERR_NOT_FOUND
 * if there is none. */
int store_state_remove(int dirfd, const char *name, struct err *e);

#endif
