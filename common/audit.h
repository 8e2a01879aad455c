#ifndef COMMON_AUDIT_H
#define COMMON_AUDIT_H

#include <stdint.h>

struct err;

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
 * A file of AUDIT_FILE_MAX bytes becomes audit.log.NUMBER, the number of its
 * last line; the next one goes on with the chain ("begin", "prev").
 */
struct audit;

#define AUDIT_FILE "audit.log"
#define AUDIT_FILE_MAX (16 << 20)
#define AUDIT_HASH_LEN 32
#define AUDIT_HASH_HEX_LEN 64

/* Opens or makes the file in that folder and goes on with its chain; an
 * incomplete last line (a power cut) is cut off and told by an event.  The
 * folder is opened once: a sealed process only needs to write below it. */
int audit_open(struct audit **out, const char *dir, struct err *e);
void audit_close(struct audit **a);
/*
 * One line: event, then pairs of key and value (strings; a pair with the
 * value NULL is left out), then NULL.  What cannot be written is an error in
 * the system log.  a may be NULL: then nothing happens.
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
