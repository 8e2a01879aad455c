#ifndef CLIENT_SOURCE_H
#define CLIENT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * What is backed up as an image: a file or a block device, read by position
 * from any number of threads.
 */
struct source {
	char *path; /* for messages */
	int fd;
	uint64_t size;
	bool has_holes; /* the file system tells where holes are */
};

/* ERR_PARAM for anything else, or if it is empty. */
int source_open(struct source *s, const char *path, struct err *e);
void source_close(struct source *s);

/* Exactly len bytes; ERR_IO also if it became shorter. */
int source_read(const struct source *s, uint64_t off, void *buf, size_t len,
    struct err *e);
/* Whether nothing is stored there, so that all of it reads as zeros. */
bool source_is_hole(const struct source *s, uint64_t off, size_t len);

bool bytes_are_zero(const void *buf, size_t len);

#endif
