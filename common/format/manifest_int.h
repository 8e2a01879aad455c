#ifndef COMMON_FORMAT_MANIFEST_INT_H
#define COMMON_FORMAT_MANIFEST_INT_H

/* Shared by manifest.c and manifest_client.c. */

#include "common/format/manifest.h"

struct json;

struct manifest {
	struct json *doc; /* all but unprotected; files and signature are
			     always there */
	struct json *unprotected;
	struct backup_snapshot snapshot;
	struct manifest_file *files; /* the same as in doc, decoded */
	size_t file_count;
	struct manifest_verify verify;
	bool is_signed;
};

#endif
