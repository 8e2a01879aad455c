/*
 * What a user of holdfast names on the command line: sources, archives,
 * snapshots.
 */
#include "config.h"

#include "client/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "common/err.h"
#include "common/io.h"
#include "common/str.h"

#define NO_FOLDERS                                                            \
	"folders (.pxar) are not supported yet: name an image (NAME.img) or " \
	"a file (NAME.conf)"

/* Endings of names as users give them, and what the server calls them. */
static const struct {
	const char *ending;
	const char *extension; /* NULL: not supported */
} endings[] = {
    {".img", ".fidx"},
    {".conf", ".blob"},
    {".log", ".blob"},
    {".pxar", NULL},
    {".mpxar", NULL},
    {".ppxar", NULL},
    {".pcat1", NULL},
};

static int
ends_with(const char *s, const char *ending)
{
	size_t n = strlen(s), m = strlen(ending);

	return n > m && strcmp(s + n - m, ending) == 0;
}

int
spec_archive(const char *name, char out[ARCHIVE_NAME_MAX + 1],
    enum archive_kind *kind_out, struct err *e)
{
	const char *extension = "";
	size_t i, n = sizeof(endings) / sizeof(endings[0]);

	for (i = 0; i < n; i++) {
		if (!ends_with(name, endings[i].ending))
			continue;
		if (endings[i].extension == NULL)
			return err_set(e, ERR_UNSUPPORTED, NO_FOLDERS);
		extension = endings[i].extension;
	}
	if (strcmp(name, "index.json") == 0)
		extension = ".blob";
	if (ends_with(name, ".didx"))
		return err_set(e, ERR_UNSUPPORTED, NO_FOLDERS);
	if (snprintf(out, ARCHIVE_NAME_MAX + 1, "%s%s", name, extension) >
	    ARCHIVE_NAME_MAX)
		return err_set(e, ERR_PARAM, "the name is too long");
	if (archive_name_parse(out, kind_out, NULL) == -1)
		return err_set(e, ERR_PARAM,
		    "'%s' is not a name like disk.img or vm.conf",
		    STR_VIS(name));
	return 0;
}

int
spec_parse(struct spec *out, const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');

	if (colon == NULL || colon[1] == '\0')
		return err_set(e, ERR_PARAM,
		    "'%s' is not NAME.img:SOURCE or NAME.conf:FILE", text);
	if ((size_t)(colon - text) >= sizeof(out->name))
		return err_set(e, ERR_PARAM, "'%s': the name is too long",
		    text);
	snprintf(out->name, sizeof(out->name), "%.*s", (int)(colon - text),
	    text);
	out->path = colon + 1;
	if (spec_archive(out->name, out->archive, &out->kind, e) == -1)
		return err_wrap(e, "'%s'", text);
	/* A name that is an archive's already would lie to the restore. */
	if (strcmp(out->name, out->archive) == 0 ||
	    strcmp(out->archive, MANIFEST_NAME) == 0)
		return err_set(e, ERR_PARAM,
		    "'%s' is not NAME.img:SOURCE or NAME.conf:FILE", text);
	return 0;
}

int
spec_check_unique(const struct spec *specs, size_t n, struct err *e)
{
	size_t i, j;

	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++)
			if (strcmp(specs[i].archive, specs[j].archive) == 0)
				return err_set(e, ERR_PARAM,
				    "'%s' is given twice", specs[i].name);
	return 0;
}

int
spec_snapshot(const struct client_opts *o, struct backup_snapshot *out,
    struct err *e)
{
	char host[BACKUP_ID_MAX + 1];
	const char *id = o->backup_id;

	if (id == NULL) {
		if (gethostname(host, sizeof(host)) == -1)
			return err_errno(e, errno,
			    "cannot get the name of this machine");
		host[sizeof(host) - 1] = '\0';
		id = host;
	}
	return snapshot_set(out,
	    o->backup_type != NULL ? o->backup_type : "host", id,
	    o->backup_time.given ? (int64_t)o->backup_time.v : io_realtime_s(),
	    e);
}
