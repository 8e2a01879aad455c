#ifndef VALIDATOR_CHECKER_INT_H
#define VALIDATOR_CHECKER_INT_H

/* For checker.c (requests) and checker_pool.c (processes) only. */

#include "validator/checker.h"

#include <sys/queue.h>

#include "common/arena.h"
#include "common/proc.h"

struct event;
struct ipc;

struct request {
	TAILQ_ENTRY(request) entry;
	uint64_t seq;
	uint16_t reply; /* the type of message that answers it */
	uint32_t block; /* where a result may be, and how long it may be */
	uint32_t len_max;
	checker_verdict_fn *verdict_fn;
	checker_manifest_fn *manifest_fn;
	void *arg;
};
TAILQ_HEAD(request_list, request);

struct checker {
	TAILQ_ENTRY(checker) entry;
	struct checker_pool *pool;
	pid_t pid; /* 0 once collected */
	uint32_t generation;
	struct ipc *ipc;
	struct arena out;
	uint32_t in_blocks;
	uint64_t seq;
	struct request_list requests; /* in the order of asking */
	struct event *timer;          /* for the first of them */
	bool dead;
	bool killed;        /* by us */
	bool released;      /* only process and arena are still there */
	unsigned int holds; /* users of the arena */
};
TAILQ_HEAD(checker_list, checker);

struct checker_pool {
	struct event_base *base;
	char *program;
	unsigned int spare_want;
	unsigned int nspare;
	unsigned int nbusy;
	bool stopped;
	uint64_t nstarted;
	uint64_t ndied; /* without being told to */
	uint32_t generation;
	int status_pipe[2]; /* children write; only drained */
	int dead_pipe[2];   /* its end tells children that we are gone */
	struct event *status_event;
	struct event *refill;
	struct proc_backoff backoff;
	struct checker_list spare;
	struct checker_list busy;
	struct checker_list ended; /* processes to be collected */
};

/* The socket's rows and their handlers; ctx is the checker. */
extern const struct ipc_proto checker_proto;

void checker_kill(struct checker *c);
/* Fails every request, ends the process. */
void checker_die(struct checker *c, const char *why);

#endif
