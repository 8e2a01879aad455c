/*
 * Request targets and the table of routes.  Runs in a worker; the target is
 * a client's, who may not have logged in.
 */
#include "config.h"

#include "server/router.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/sbuf.h"
#include "common/str.h"

/* One component, decoded to the end of what buf holds so far. */
static int
router_add(struct router_path *out, char **next, const char *s, size_t len,
    struct err *e)
{
	if (*s == '.')
		return err_set(e, ERR_INVALID,
		    "path contains illegal components");
	if (out->count == ROUTER_COMPONENTS_MAX || len > ROUTER_COMPONENT_MAX)
		return err_set(e, ERR_INVALID, "path is too long");
	if (str_percent_decode(*next, len + 1, s, len, 0) == -1 ||
	    !str_is_utf8(*next, strlen(*next)))
		return err_set(e, ERR_INVALID, "cannot decode path");
	out->component[out->count++] = *next;
	*next += strlen(*next) + 1;
	return 0;
}

int
router_split(struct router_path *out, const char *target, struct err *e)
{
	const char *s, *slash, *end;
	char *next;

	memset(out, 0, sizeof(*out));
	end = target + strcspn(target, "?#");
	out->query = *end == '?' ? end + 1 : "";
	/* Decoding never makes it longer; one NUL for each '/' or the end. */
	next = out->buf = xmalloc((size_t)(end - target) + 2);
	for (s = target; s < end; s = slash + 1) {
		slash = memchr(s, '/', (size_t)(end - s));
		if (slash == NULL)
			slash = end;
		if (slash == s)
			continue;
		if (router_add(out, &next, s, (size_t)(slash - s), e) == -1) {
			router_path_fini(out);
			return -1;
		}
	}
	return 0;
}

void
router_path_fini(struct router_path *p)
{
	free(p->buf);
	memset(p, 0, sizeof(*p));
}

/* Whether one component of the pattern, *pattern on, fits; moves on. */
static int
router_fits(const char **pattern, const char *component)
{
	size_t len = strcspn(*pattern, "/");
	int fits;

	fits = **pattern == '{' ||
	    (strlen(component) == len && memcmp(*pattern, component, len) == 0);
	*pattern += len;
	if (**pattern == '/')
		(*pattern)++;
	return fits;
}

static int
router_matches(const struct route *r, const struct router_path *path,
    unsigned int skip)
{
	const char *pattern = r->pattern;
	unsigned int i;

	for (i = skip; i < path->count; i++) {
		if (*pattern == '\0' ||
		    !router_fits(&pattern, path->component[i]))
			return 0;
	}
	return *pattern == '\0';
}

static int
router_take_params(const struct route *r, const struct router_path *path,
    unsigned int skip, struct params *params, struct err *e)
{
	const char *pattern = r->pattern;
	char name[32];
	unsigned int i;
	size_t len;

	for (i = skip; *pattern != '\0'; i++) {
		len = strcspn(pattern, "/");
		if (*pattern == '{') {
			if (len - 2 >= sizeof(name))
				return err_set(e, ERR_INTERNAL,
				    "bad pattern of a route");
			memcpy(name, pattern + 1, len - 2);
			name[len - 2] = '\0';
			if (params_add_path(params, name, path->component[i],
				e) == -1)
				return -1;
		}
		pattern += len + (pattern[len] == '/');
	}
	return 0;
}

const struct route *
router_find(const struct route *routes, size_t n, enum request_method method,
    const struct router_path *path, unsigned int skip, struct params *params,
    struct err *e)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (routes[i].method != method ||
		    !router_matches(&routes[i], path, skip))
			continue;
		if (router_take_params(&routes[i], path, skip, params, e) == -1)
			return NULL;
		return &routes[i];
	}
	router_not_found(path, e);
	return NULL;
}

int
router_not_found(const struct router_path *path, struct err *e)
{
	struct sbuf text;
	unsigned int i;

	sbuf_init(&text, ERR_MSG_MAX - 32);
	for (i = 0; i < path->count; i++) {
		sbuf_add_char(&text, '/');
		sbuf_add_str(&text, path->component[i]);
	}
	err_set(e, ERR_NO_PATH, "Path '%s' not found.",
	    text.len > 0 ? STR_VIS(sbuf_str(&text)) : "/");
	sbuf_fini(&text);
	return -1;
}
