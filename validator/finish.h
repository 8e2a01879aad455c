#ifndef VALIDATOR_FINISH_H
#define VALIDATOR_FINISH_H

#include <stdbool.h>

/*
 * The end of a backup, step by step (DESIGN "A backup", 10):
 *
 *   WAIT      (1) no writer open, referenced chunks checked
 *   MANIFEST  (2) upload statistics into the manifest of the session folder
 *   COMMIT    (3) lock database: finishing; then (4) to (6) in the sync
 *                 thread: everything durable, renamed, parents synced.  What
 *                 was lost is compared before, and again before the rename
 *   DONE      (7) locks freed, tombstone; (8) answered
 *
 * Until COMMIT a refusal leaves the session open and the worker's death ends
 * it.  From COMMIT on the worker's death ends nothing, and a restarted
 * validator goes on by itself; abort and task stop win if they come before
 * the rename.
 */
enum finish_phase {
	FINISH_NONE,
	FINISH_WAIT,
	FINISH_MANIFEST,
	FINISH_COMMIT,
	FINISH_DONE,
	FINISH_PHASE_COUNT
};
#define FINISH_WAIT_MS 1000 /* between two FINISH_WAIT messages */

struct session;

/* From FINISH until it is refused: nothing may change the backup. */
bool finish_is_under_way(const struct session *s);
/* The check of reused chunks lets finish go on. */
void finish_joined(struct session *s);
/* The session is to end.  True if the commit is on its way: its outcome then
 * decides.  False: what was asked is answered, nothing goes on. */
bool finish_cancel(struct session *s);
/* After a restart, in state FINISHING. */
void finish_continue(struct session *s);
/* Its worker is gone, in state FINISHING. */
void finish_peer_gone(struct session *s);
void finish_free(struct session *s);

#endif
