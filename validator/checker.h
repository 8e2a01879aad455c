#ifndef VALIDATOR_CHECKER_H
#define VALIDATOR_CHECKER_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/format/manifest.h"

struct arena;
struct digest;
struct event_base;

/*
 * Checkers, seen from the validator: processes that judge what a client made.
 * A pool keeps a few started ones spare, so that taking one costs no exec.
 * One serves one owner (a session, or one operation) and is never used
 * again.  All of it belongs to the loop's thread; nothing blocks, except that
 * starting a process waits for its exec.
 *
 * A checker that dies or takes longer than CHECKER_TIMEOUT_MS fails the request
 * that it was at with ERR_ABORTED (perhaps its data killed it, perhaps not: no
 * verdict), those behind it with ERR_UNAVAILABLE (they may be repeated with
 * another checker), and is not usable any more.
 */
#define CHECKER_TIMEOUT_MS 60000
#define CHECKER_END_MS 5000          /* from closing its socket to killing it */
#define CHECKER_MANIFEST_BLOCKS 264u /* holds the longest manifest */
#define CHECKER_LENT_BLOCKS 514u     /* holds the longest chunk, twice */

struct checker;
struct checker_pool;

/* Lent until the callback returns. */
struct checker_verdict {
	struct err err; /* ERR_OK, or why it was refused */
	uint8_t kind;   /* enum blob_kind */
	bool verified;
	uint32_t out_len;
	uint32_t size;
};

struct checker_manifest {
	struct err err;
	uint32_t out_len; /* 0: nothing was written */
	enum verify_state verify_state;
	const char *upid;
};

typedef void checker_verdict_fn(void *arg, const struct checker_verdict *v);
typedef void checker_manifest_fn(void *arg, const struct checker_manifest *m);

/* program: path of holdfast-checker; spare: how many to keep ready. */
struct checker_pool *checker_pool_new(struct event_base *base,
    const char *program, unsigned int spare, struct err *e);
/* Ends all that are busy: their requests fail.  No more can be taken. */
void checker_pool_stop(struct checker_pool *p);
/* Every checker must have been released. */
void checker_pool_free(struct checker_pool **p);
/* A child ended (SIGCHLD): collects those that are ours. */
void checker_pool_reap(struct checker_pool *p);
unsigned int checker_pool_spare(const struct checker_pool *p);
unsigned int checker_pool_busy(const struct checker_pool *p);
/* Since the start: all, and those that ended without being told to. */
uint64_t checker_pool_started(const struct checker_pool *p);
uint64_t checker_pool_died(const struct checker_pool *p);

/*
 * A checker with its own arena: as many blocks as "in" (lent; NULL: 1), at
 * the same numbers, and CHECKER_MANIFEST_BLOCKS behind them.
 */
struct checker *checker_take(struct checker_pool *p, const struct arena *in,
    struct err *e);
/*
 * A checker for another process of ours, a job: it talks to it itself. fds_out,
 * all the caller's: its socket (VC, ready), its arena for results from block 0
 * on, and an arena of CHECKER_LENT_BLOCKS that the job fills with chunks.  Only
 * to be released here.
 */
struct checker *checker_lend(struct checker_pool *p, int fds_out[3],
    struct err *e);
/* Ends it; what was asked is not answered any more.  NULL inside is fine. */
void checker_release(struct checker **c);
/* Keeps its arena mapped, for a thread that reads from it, also when the
 * checker is released meanwhile. */
void checker_hold(struct checker *c);
void checker_unhold(struct checker *c);
bool checker_is_dead(const struct checker *c);
/* First block behind the copies of the session's arena. */
uint32_t checker_manifest_block(const struct checker *c);
/* len bytes of its arena from block on; NULL if that is outside.  The checker
 * may still change them: its word is only about its owner's data. */
const uint8_t *checker_at(const struct checker *c, uint32_t block, size_t len);

/* Requests; the callback comes once, from the loop, unless the checker is
 * released.  -1 if the checker is dead (no callback then). */
int checker_chunk(struct checker *c, uint32_t block, uint32_t len,
    uint32_t size, const struct digest *digest, checker_verdict_fn *fn,
    void *arg, struct err *e);
int checker_blob(struct checker *c, uint32_t block, uint32_t len,
    checker_verdict_fn *fn, void *arg, struct err *e);
/* fd: a stored chunk, lent. */
int checker_stored(struct checker *c, int fd, uint32_t size,
    const struct digest *digest, checker_verdict_fn *fn, void *arg,
    struct err *e);
/* The result is out_len bytes at checker_manifest_block(). */
int checker_manifest_import(struct checker *c, uint32_t block, uint32_t len,
    const struct backup_snapshot *snapshot, checker_manifest_fn *fn, void *arg,
    struct err *e);
/* fd: a stored manifest, lent.  op: enum manifest_op; stats, state and text
 * (UPID or notes) as that one wants them.  The text itself is what the arena
 * begins with that checker_take() got. */
struct checker_op {
	uint8_t op;
	enum verify_state state;
	struct manifest_stats stats;
	uint32_t text_len;
};
int checker_manifest_op(struct checker *c, int fd, const struct checker_op *op,
    checker_manifest_fn *fn, void *arg, struct err *e);

#endif
