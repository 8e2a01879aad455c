/*
 * Looking for missing chunks after a sweep (gc_missing.h).  Runs in
 * holdfast-job.  The indexes were read once, but may be others by now.
 */
#include "config.h"

#include "validator/jobs/gc_missing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/digest_map.h"
#include "common/mem.h"
#include "validator/jobs/gc_filter.h"
#include "validator/jobs/gc_mark.h"

struct search {
	struct gc_missing *g;
	struct digest *v; /* the missing ones */
	size_t cap;
	struct digest_map known; /* of v */
	bool in_this_index;
};

static const uint8_t *
digest_at(void *ctx, uint32_t ref)
{
	const struct search *s = ctx;

	return s->v[ref].b;
}

static bool
is_stopped(const void *arg)
{
	const struct search *s = arg;

	return s->g->is_stopped(s->g->arg);
}

/* It may have been uploaded since the sweep was there. */
static bool
is_there(const struct search *s, const struct digest *d)
{
	char path[DIGEST_CHUNK_PATH_LEN + 1];

	digest_chunk_path(d, path);
	return faccessat(s->g->chunks_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) ==
	    0 ||
	    errno != ENOENT;
}

static void
add(struct search *s, const char *path, const struct digest *d)
{
	char hex[DIGEST_HEX_LEN + 1];
	uint32_t n = (uint32_t)s->g->chunks;

	if (n == GC_MISSING_MAX)
		return;
	if (n == s->cap) {
		s->cap = s->cap > 0 ? 2 * s->cap : 64;
		s->v = xreallocarray(s->v, s->cap, sizeof(*s->v));
	}
	s->v[n] = *d;
	if (digest_map_put(&s->known, n, NULL) == -1)
		return;
	s->g->chunks++;
	digest_to_hex(d, hex);
	s->g->found(s->g->arg, path, hex);
}

static void
see(void *arg, const char *path, const struct digest *d)
{
	struct search *s = arg;

	/* Sessions check by themselves what they reuse. */
	if (path[0] == '\0' || gc_filter_was_seen(s->g->filter, d))
		return;
	if (digest_map_get(&s->known, d->b) == DIGEST_MAP_NONE) {
		if (is_there(s, d))
			return;
		add(s, path, d);
	}
	s->in_this_index = true;
}

int
gc_find_missing(struct gc_missing *g, struct err *e)
{
	struct search s = {.g = g};
	struct gc_marks marks;
	int rv;

	digest_map_init(&s.known, digest_at, &s);
	gc_marks_init(&marks, g->root_fd, NULL);
	marks.is_stopped = is_stopped;
	marks.see = see;
	marks.arg = &s;
	g->chunks = g->indexes = 0;
	rv = gc_marks_list(&marks, e);
	while (rv != -1 && (rv = gc_marks_next(&marks, e)) == 1) {
		g->indexes += s.in_this_index;
		s.in_this_index = false;
	}
	gc_marks_fini(&marks);
	digest_map_fini(&s.known);
	free(s.v);
	return rv;
}
