/*
 * The grammar of names.  Every process uses it on strings from the network,
 * from other processes and from file names; what passes is one safe path
 * component and holds no byte that a log or a shell would stumble over.
 */
#include "config.h"

#include "common/format/names.h"

#include <stdio.h>
#include <string.h>

#include "common/err.h"

#define ERR_NAME_SHOWN 64 /* bytes of a refused name in an error text */

static const char *const archive_exts[] = {
    [ARCHIVE_FIXED] = ".fidx",
    [ARCHIVE_DYNAMIC] = ".didx",
    [ARCHIVE_BLOB] = ".blob",
};

/* Not isalnum(): the grammar does not depend on the locale. */
static bool
is_word_byte(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || c == '_';
}

/* Length of the safe id that a string is, 0 if it is none. */
static size_t
safe_id_len(const char *s)
{
	size_t n;

	if (!is_word_byte(s[0]))
		return 0;
	for (n = 1; s[n] != '\0'; n++) {
		if (n == SAFE_ID_MAX)
			return 0;
		if (!is_word_byte(s[n]) && s[n] != '.' && s[n] != '-')
			return 0;
	}
	return n;
}

bool
safe_id_valid(const char *s)
{
	return safe_id_len(s) > 0;
}

bool
datastore_name_valid(const char *s)
{
	size_t len = safe_id_len(s);

	return len >= DATASTORE_NAME_MIN && len <= DATASTORE_NAME_MAX;
}

int
ns_push(struct backup_ns *ns, const char *component, struct err *e)
{
	size_t add = safe_id_len(component), len = strlen(ns->name);

	if (add == 0)
		return err_set(e, ERR_PARAM, "invalid namespace component");
	if (ns->depth == NAMESPACE_DEPTH_MAX)
		return err_set(e, ERR_PARAM,
		    "namespace too deep, at most %d levels",
		    NAMESPACE_DEPTH_MAX);
	/* The reference counts a separator even in front of the first. */
	if (len + add + 1 > NAMESPACE_MAX)
		return err_set(e, ERR_PARAM,
		    "namespace too long, at most %d bytes", NAMESPACE_MAX);
	if (len > 0)
		ns->name[len++] = '/';
	memcpy(ns->name + len, component, add + 1);
	ns->depth++;
	return 0;
}

int
ns_parse(struct backup_ns *out, const char *s, struct err *e)
{
	char part[SAFE_ID_MAX + 1];
	const char *end;
	size_t len;

	memset(out, 0, sizeof(*out));
	if (s == NULL || *s == '\0')
		return 0;
	for (;; s = end + 1) {
		end = strchr(s, '/');
		len = end != NULL ? (size_t)(end - s) : strlen(s);
		if (len >= sizeof(part))
			return err_set(e, ERR_PARAM,
			    "namespace component too long");
		memcpy(part, s, len);
		part[len] = '\0';
		if (ns_push(out, part, e) < 0)
			return -1;
		if (end == NULL)
			return 0;
	}
}

bool
ns_pop(struct backup_ns *ns)
{
	char *slash;

	if (ns->depth == 0)
		return false;
	slash = strrchr(ns->name, '/');
	*(slash != NULL ? slash : ns->name) = '\0';
	ns->depth--;
	return true;
}

const char *
ns_leaf(const struct backup_ns *ns)
{
	const char *slash = strrchr(ns->name, '/');

	return slash != NULL ? slash + 1 : ns->name;
}

bool
ns_contains(const struct backup_ns *parent, const struct backup_ns *ns)
{
	size_t len = strlen(parent->name);

	if (len == 0)
		return true;
	return strncmp(parent->name, ns->name, len) == 0 &&
	    (ns->name[len] == '\0' || ns->name[len] == '/');
}

void
ns_path(const struct backup_ns *ns, char out[NAMESPACE_PATH_MAX + 1])
{
	const char *s;
	char *p = out;

	if (ns->depth > 0)
		p = stpcpy(p, "ns/");
	for (s = ns->name; *s != '\0'; s++) {
		*p++ = *s;
		if (*s == '/')
			p = stpcpy(p, "ns/");
	}
	*p = '\0';
}

int
archive_name_parse(const char *name, enum archive_kind *out, struct err *e)
{
	size_t len = safe_id_len(name), i;

	if (len == 0 || len > ARCHIVE_NAME_MAX)
		return err_set(e, ERR_PARAM, "invalid archive name");
	for (i = 0; i < sizeof(archive_exts) / sizeof(archive_exts[0]); i++) {
		size_t ext = strlen(archive_exts[i]);

		if (len > ext &&
		    strcmp(name + len - ext, archive_exts[i]) == 0) {
			*out = (enum archive_kind)i;
			return 0;
		}
	}
	return err_set(e, ERR_PARAM, "unknown archive type: '%.*s'",
	    ERR_NAME_SHOWN, name);
}

const char *
archive_kind_ext(enum archive_kind kind)
{
	return archive_exts[kind];
}
