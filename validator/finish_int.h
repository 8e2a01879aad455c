#ifndef VALIDATOR_FINISH_INT_H
#define VALIDATOR_FINISH_INT_H

/* Between finish.c, steps (1) and (2), and finish_commit.c, the others. */

#include "validator/session_int.h"
#include "validator/store/session_dir.h"

struct finish {
	struct session_req req; /* holds the session while a step runs */
	enum finish_phase phase;
	bool asked; /* by the attached worker, whose request is seq */
	uint64_t seq;
	bool cancelled;
	struct event *timer;
	uint64_t last_left;
	int manifest_fd;
	struct manifest_ask *ask;
	uint64_t overflows; /* of the set of damaged chunks, at its begin */
	int look_fd;        /* the session's folder, while it is looked at */
	const uint8_t *data;
	size_t len;
	struct session_commit commit;
	bool verify_new;
	struct err stop_why;
};

/* --- finish.c --- */

struct finish *finish_new(struct session *s);
/* 0 if nothing that the backup refers to, or that changes it, is unfinished. */
int finish_check(struct session *s, struct err *e);
void finish_set_phase(struct session *s, enum finish_phase next);
/* A refused finish leaves the session open: the client may upload what is
 * missing and try again. */
void finish_refuse(struct session *s, const struct err *why);
/* A step begins in a thread, and ends; between them the session is held. */
void finish_run(struct session *s, struct store_flow *flow,
    void (*run)(struct store_job *job), void (*done)(struct store_job *job));
struct session *finish_step_done(struct store_job *job, struct finish **f_out);
/* True if the session ended meanwhile; it was told already. */
bool finish_is_over(struct session *s);

/* --- finish_commit.c --- */

void finish_commit(struct session *s);

#endif
