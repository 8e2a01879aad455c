#ifndef CLIENT_SPEC_H
#define CLIENT_SPEC_H

#include "common/format/names.h"
#include "common/format/snapshot.h"

struct client_opts;
struct err;

/* What to back up: "NAME.img:SOURCE" or "NAME.conf:FILE". */
struct spec {
	char archive[ARCHIVE_NAME_MAX + 1]; /* "NAME.img.fidx" */
	char name[ARCHIVE_NAME_MAX + 1];    /* "NAME.img" */
	enum archive_kind kind;
	const char *path; /* lent */
};

int spec_parse(struct spec *out, const char *text, struct err *e);
/* ERR_PARAM if two have the same name. */
int spec_check_unique(const struct spec *specs, size_t n, struct err *e);

/* "NAME.img" or "NAME.img.fidx" to the archive; "index.json" to the
 * manifest. */
int spec_archive(const char *name, char out[ARCHIVE_NAME_MAX + 1],
    enum archive_kind *kind_out, struct err *e);

/* Type, id and time from the options or by default. */
int spec_snapshot(const struct client_opts *o, struct backup_snapshot *out,
    struct err *e);

#endif
