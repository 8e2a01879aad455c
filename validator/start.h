#ifndef VALIDATOR_START_H
#define VALIDATOR_START_H

struct err;
struct validator;

/*
 * Start-up of the validator, in this order; each -1 ends the process with the
 * exit code that main.c gives it.  Everything blocks: nothing is served yet.
 */

/* Only the key that it shares with auth, if there is none yet. */
int start_make_key(struct validator *v, struct err *e);
/* As whoever started us: folders, sockets (from systemd or our own) into
 * fds_out (workers, commands), the grant key. */
int start_privileged(struct validator *v, int fds_out[2], struct err *e);
/* For good: the configured user, if we are root. */
int start_drop(struct validator *v, struct err *e);
/* Lock database, own records, task folder; each store, where a failure only
 * refuses that store. */
int start_state(struct validator *v, struct err *e);
/* Landlock and seccomp; no thread may run yet. */
int start_seal(struct validator *v, struct err *e);

/* The other way round, after the last thread. */
void start_undo(struct validator *v);

#endif
