#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H

#include <stdint.h>

/*
 * A progress bar on standard error, if that is a terminal: redrawn a few
 * times a second at most.  Without a terminal nothing is printed.
 */
struct progress {
	const char *what; /* lent */
	uint64_t total;   /* bytes */
	uint64_t started_ms;
	uint64_t drawn_ms;
	int enabled;
	int drawn;
};

void progress_start(struct progress *p, const char *what, uint64_t total,
    int enabled);
/* note: a few words behind the bar, or NULL. */
void progress_update(struct progress *p, uint64_t done, const char *note);
/* Draws the end and goes to the next line. */
void progress_end(struct progress *p, uint64_t done, const char *note);
/* Leaves the line for a message. */
void progress_break(struct progress *p);

/* "1:05", "2:03:09"; returns dst. */
#define PROGRESS_TIME_MAX 32
char *progress_time_str(char dst[PROGRESS_TIME_MAX], uint64_t seconds);

#endif
