#ifndef COMMON_AUDIT_H
#define COMMON_AUDIT_H

#include <stdint.h>

struct err;
struct event_base;

/*
 * The audit log of one process: a file "audit.log" with one JSON object a
 * line, bound into a chain.
 *
 *   {"event":"login","n":7,"outcome":"ok",...,"time":"2026-01-31T09:30:00Z",
 *    "hash":"<SHA-256 of the previous line's hash and of this line up to
 *    the comma before "hash">"}
 *
 * So no line can be changed, removed or put in without changing the hash of
 * each line behind it.  Whoever can write the file could make a new chain:
 * the last number and hash therefore go to the system log at each start and
 * every 1000 lines, and "holdfast-admin audit verify" prints them.
 *
 * A full file becomes audit.log.NUMBER, the number of its last line; the next
 * one goes on with the chain ("begin", "prev").  The oldest are removed.
 *
 * Anybody can be refused as often as he likes.  So of the refusals of one
 * kind of event only a number have lines of their own: AUDIT_REFUSED_BURST at
 * once, then AUDIT_REFUSED_PER_S; the others are counted in a line
 * ("left-out", "of", "count", "since") within AUDIT_LEFT_OUT_S.  What could
 * not be written is counted in the same way, once that is possible again.
 */
struct audit;

#define AUDIT_FILE "audit.log"
#define AUDIT_REFUSED_BURST 256
#define AUDIT_REFUSED_PER_S 1
#define AUDIT_LEFT_OUT_S 10
#define AUDIT_HASH_LEN 32
#define AUDIT_HASH_HEX_LEN 64

struct audit_limits {
	uint64_t file_size; /* a file is full at or above */
	uint64_t files;     /* full ones that are kept */
};

/* Opens or makes the file in that folder and goes on with its chain; an
 * incomplete last line (a power cut) is cut off and told by an event.  The
 * folder is opened once: a sealed process only needs to write below it. */
int audit_open(struct audit **out, const char *dir,
    const struct audit_limits *limits, struct err *e);
/* From now on what was left out is told from the loop, else by audit_close();
 * base must outlive a. */
void audit_watch(struct audit *a, struct event_base *base);
void audit_close(struct audit **a);
/*
 * One line: event (a literal), then pairs of key and value (strings; a pair
 * with the value NULL is left out), then NULL.  "outcome", "refused" makes it
 * a refusal.  What cannot be written is an error in the system log, and
 * nothing else.  a may be NULL: then nothing happens.
 */
void audit_add(struct audit *a, const char *event, ...)
    __attribute__((sentinel));

/* What a check found. */
struct audit_report {
	uint64_t files;
	uint64_t lines;
	uint64_t last; /* number of the last line, 0 if there is none */
	char hash[AUDIT_HASH_HEX_LEN + 1];
};
/* Checks all files of a folder, the oldest first.  -1 names the first line
 * that does not fit (ERR_CORRUPT), or why a file cannot be read; what was
 * checked until then is in *out. */
int audit_verify(const char *dir, struct audit_report *out, struct err *e);

#endif
