#ifndef CLIENT_UPLOAD_H
#define CLIENT_UPLOAD_H

#include <stdint.h>

#include "common/format/digest.h"

struct err;
struct h2;
struct known;
struct progress;
struct source;

/*
 * One image: read, hashed and compressed by threads, while the caller's
 * thread sends.  At most UPLOAD_BUFFERS compressed chunks wait or are on
 * their way, so that memory stays bounded.
 */
#define UPLOAD_BUFFERS 12

struct upload_stats {
	uint64_t bytes; /* of the image */
	uint64_t chunks;
	uint64_t zero;   /* chunks of nothing but zeros */
	uint64_t reused; /* from the previous backup */
	uint64_t uploaded;
	uint64_t uploaded_bytes; /* compressed, as sent */
};

/* Uploads to the open fixed index wid, and appends all chunks to it; closing
 * it is the caller's.  Adds to *stats. */
int upload_image(struct h2 *h, struct known *k, uint64_t wid,
    const struct source *src, struct progress *bar, struct upload_stats *stats,
    struct digest *csum_out, struct err *e);

#endif
