#ifndef VALIDATOR_REUSE_H
#define VALIDATOR_REUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/format/digest.h"
#include "validator/validator_conf.h"

/*
 * The check of reused chunks: whether each chunk of the base snapshot that
 * the client may refer to without uploading it is really there.  This is the
 * state machine alone: what was found comes in through reuse_progress() and
 * its like, what is to be done goes out through the callbacks, so that every
 * transition can be tested.  session_check.c joins it to the store.
 *
 *   NOT_INITIALISED -> NOT_NEEDED   the base was verified recently, by us
 *                   -> RUNNING      the first base index was asked for
 *                   -> JOINED       finish passed, no base index was used
 *   RUNNING         -> JOINED       finish passed: what is referenced is
 * checked
 *                   -> ABORTED      a chunk is missing, a base index is
 * damaged, or checking fails
 *   JOINED          -> RUNNING      finish was refused later, the session goes
 *                                   on (NOT_INITIALISED without files)
 *
 * Positions: file is the session's number of a base file, pos an entry of it.
 * The bitmaps are files in the runtime folder, which outlive the process:
 * "checked" is set by the store's threads, "referenced" here.
 */
#define REUSE_FILES_MAX 256
#define REUSE_MISSING_MAX 1024 /* a base that lacks more is not waited for */

enum reuse_state {
	REUSE_NOT_INITIALISED,
	REUSE_NOT_NEEDED,
	REUSE_RUNNING,
	REUSE_JOINED,
	REUSE_ABORTED,
	REUSE_STATE_COUNT
};

struct bitmap;
struct reuse;

/* Called from inside the functions below.  Only abort() and joined() may call
 * back, and only reuse_unjoin() and the getters. */
struct reuse_cb {
	/* Check this file, from now on or again from where it stopped; it may
	 * be on its way already. */
	void (*scan)(void *ctx, uint32_t file);
	/* Mark the base as failed, durably; reuse_marked() follows, later.
	 * what: the reason, "chunk ... of the previous snapshot is missing". */
	void (*mark)(void *ctx, const char *what);
	/* The session is over, with this reason. */
	void (*abort)(void *ctx, const struct err *why);
	/* Finish may go on (asked for by reuse_join()). */
	void (*joined)(void *ctx);
	void *ctx;
};

/* not_needed: the first file leads to NOT_NEEDED. */
struct reuse *reuse_new(const struct reuse_cb *cb, enum on_missing on_missing,
    bool not_needed);
void reuse_free(struct reuse **r);

const char *reuse_state_str(enum reuse_state state); /* "not-initialised" */
enum reuse_state reuse_state(const struct reuse *r);

/* A base index; the bitmaps have a bit for each entry and live as long as
 * r.  ERR_BAD_STATE once aborted. */
int reuse_add_file(struct reuse *r, uint32_t file, struct bitmap *checked,
    struct bitmap *referenced, struct err *e);
bool reuse_has_file(const struct reuse *r, uint32_t file);
/* The new backup refers to a chunk by its position, or to all of a file (an
 * index that starts as a copy; some may be overwritten later, and are checked
 * all the same). */
void reuse_reference(struct reuse *r, uint32_t file, uint64_t pos,
    const struct digest *digest);
void reuse_reference_all(struct reuse *r, uint32_t file);

/* More bits of "checked" may be set. */
void reuse_progress(struct reuse *r);
/* damaged: it is there, but does not decode.  The scan of the file stopped. */
void reuse_missing(struct reuse *r, uint32_t file, uint64_t pos,
    const struct digest *digest, bool damaged);
/* A base index cannot be read since its bytes are wrong: as bad as a missing
 * chunk that is referenced, since who knows which one would be. */
void reuse_damaged(struct reuse *r, const char *name);
/* A chunk that the new backup refers to, uploaded or reused, was found bad by a
 * verification and is gone; known after joined().  Marks and aborts, also
 * where no check was needed. */
void reuse_lost(struct reuse *r, const struct digest *digest);
/* Neither there nor missing: an error of the disk, say.  Aborts, marks
 * nothing. */
void reuse_failed(struct reuse *r, const struct err *why);
/* The answer to mark: NULL if the mark is durable.  nothing_to_mark: there is
 * no base manifest any more. */
void reuse_marked(struct reuse *r, const struct err *failed,
    bool nothing_to_mark);

/* Finish wants to go on: joined() comes now or later, or abort(). */
void reuse_join(struct reuse *r);
/* Finish does not wait any more, or was refused after joined(): what is not
 * checked yet is looked at again. */
void reuse_unjoin(struct reuse *r);

/* Referenced and not yet checked: what finish waits for. */
uint64_t reuse_left(const struct reuse *r);
uint64_t reuse_checked(const struct reuse *r);
uint64_t reuse_missing_count(const struct reuse *r);

#endif
