#ifndef SERVER_AUTH_HASHER_H
#define SERVER_AUTH_HASHER_H

#include <sys/types.h>

#include <stddef.h>

struct err;
struct event_base;

/*
 * The hashers as auth sees them: a fixed number of children (hasher_main.c)
 * and a bounded queue, so that neither a flood of logins nor a slow hash stops
 * the loop or takes more memory than HASHER_COUNT hashes need.
 */
#define HASHER_PROTO_VERSION 1
#define HASHER_PROGRAM "holdfast-hasher"
#define HASHER_COUNT 2
#define HASHER_QUEUE_MAX 128
#define HASHER_QUEUE_PEER_MAX 8 /* of one client address */
#define HASHER_JOB_MS 10000     /* waiting and hashing */

struct hasher_job; /* gone after its callback */
struct hasher_pool;

/* why is not NULL if it could not be done; else match (of a check) or hash (of
 * a make, lent) is the answer. */
typedef void hasher_done_fn(void *arg, int match, const char *hash,
    const struct err *why);

/* program: path of holdfast-hasher.  Starts the children from the loop. */
struct hasher_pool *hasher_pool_new(struct event_base *base,
    const char *program);
/* Kills the children; jobs end without a callback. */
void hasher_pool_free(struct hasher_pool **p);

/*
 * done() comes from the loop, once, unless the job is cancelled.  The password
 * is copied, and wiped when done.  peer: whose place in the queue it takes.
 * NULL with ERR_UNAVAILABLE when the queue, or the peer's part of it, is full.
 */
struct hasher_job *hasher_check(struct hasher_pool *p, const char *peer,
    const void *password, size_t len, const char *hash, hasher_done_fn *done,
    void *arg, struct err *e);
struct hasher_job *hasher_make(struct hasher_pool *p, const char *peer,
    const void *password, size_t len, hasher_done_fn *done, void *arg,
    struct err *e);
void hasher_cancel(struct hasher_job **job);

/* For the loop's SIGCHLD: 1 if it was one of the pool's. */
int hasher_pool_reaped(struct hasher_pool *p, pid_t pid, int wait_status);

#endif
