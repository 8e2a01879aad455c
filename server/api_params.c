/*
 * Parameter tables of the calls of HTTP/1.1 (wire-protocol 2 to 5, 7).
 */
#include "config.h"

#include "server/api_int.h"

#include "common/format/snapshot.h"

#define OPT PARAM_OPTIONAL
#define TABLE(name) const struct param_def api_params_##name[]
/* clang-format off */
#define END { .name = NULL }

#define STORE { "store", PARAM_STRING, 0, 3, 32, param_check_store }
#define NS { "ns", PARAM_STRING, OPT, 0, 256, param_check_ns }
#define TYPE(flags) \
	{ "backup-type", PARAM_STRING, flags, 0, 0, param_check_backup_type }
#define ID(flags) \
	{ "backup-id", PARAM_STRING, flags, 1, IPC_ID_MAX, param_check_safe_id }
#define TIME(flags) \
	{ "backup-time", PARAM_INTEGER, flags, 1, BACKUP_TIME_MAX, NULL }
#define GROUP STORE, NS, TYPE(0), ID(0)
#define SNAPSHOT GROUP, TIME(0)
#define FLAG(name) { name, PARAM_BOOLEAN, OPT, 0, 0, NULL }
#define NUMBER(name, min, max) { name, PARAM_INTEGER, OPT, min, max, NULL }
#define TEXT(name, flags, min, max) { name, PARAM_STRING, flags, min, max, NULL }
#define KEEP                                                     \
	NUMBER("keep-last", 1, INT32_MAX),                       \
	NUMBER("keep-hourly", 1, INT32_MAX),                     \
	NUMBER("keep-daily", 1, INT32_MAX),                      \
	NUMBER("keep-weekly", 1, INT32_MAX),                     \
	NUMBER("keep-monthly", 1, INT32_MAX),                    \
	NUMBER("keep-yearly", 1, INT32_MAX)
#define NODE TEXT("node", 0, 1, 64)
#define UPID { "upid", PARAM_STRING, 0, 1, IPC_UPID_MAX, param_check_upid }

TABLE(node) = { NODE, END };

/* --- access --- */
TABLE(login) = {
	{ "username", PARAM_STRING, 0, 3, IPC_AUTHID_MAX, param_check_user_id },
	{ "password", PARAM_STRING, 0, 1, 1024, param_check_no_control },
	TEXT("path", OPT, 0, 256),
	TEXT("privs", OPT, 0, 1024),
	NUMBER("port", 0, 65535),
	TEXT("tfa-challenge", OPT, 0, 4096),
	FLAG("http-only"),
	END,
};
/* The underscore is the protocol's. */
TABLE(users) = { FLAG("include_tokens"), END };
TABLE(permissions) = {
	{ "auth-id", PARAM_STRING, OPT, 3, IPC_AUTHID_MAX, param_check_auth_id },
	TEXT("path", OPT, 0, 512),
	END,
};
TABLE(password) = {
	{ "userid", PARAM_STRING, 0, 3, IPC_AUTHID_MAX, param_check_user_id },
	{ "password", PARAM_STRING, 0, 1, 1024, param_check_no_control },
	TEXT("confirmation-password", OPT, 0, 1024),
	END,
};

/* --- datastores and namespaces --- */
TABLE(store) = { STORE, END };
TABLE(status) = { STORE, FLAG("verbose"), END };
TABLE(verify) = {
	STORE, NS, TYPE(OPT), ID(OPT), TIME(OPT),
	FLAG("ignore-verified"),
	NUMBER("outdated-after", 0, INT32_MAX),
	NUMBER("max-depth", 0, 7),
	END,
};
TABLE(prune_store) = {
	STORE, NS, KEEP, NUMBER("max-depth", 0, 7), FLAG("dry-run"), END,
};
TABLE(ns) = { STORE, NS, END };
TABLE(ns_list) = {
	STORE,
	{ "parent", PARAM_STRING, OPT, 0, 256, param_check_ns },
	NUMBER("max-depth", 0, 7),
	END,
};
TABLE(ns_create) = {
	STORE,
	{ "parent", PARAM_STRING, OPT, 0, 256, param_check_ns },
	{ "name", PARAM_STRING, 0, 1, 32, param_check_safe_id },
	END,
};
TABLE(ns_delete) = {
	STORE,
	{ "ns", PARAM_STRING, 0, 0, 256, param_check_ns },
	FLAG("delete-groups"),
	FLAG("error-on-protected"),
	END,
};

/* --- groups --- */
TABLE(group) = { GROUP, END };
TABLE(group_delete) = { GROUP, FLAG("error-on-protected"), END };
TABLE(group_notes) = { GROUP, TEXT("notes", 0, 0, 0), END };
TABLE(owner) = {
	GROUP,
	{ "new-owner", PARAM_STRING, 0, 3, IPC_AUTHID_MAX, param_check_auth_id },
	END,
};

/* --- snapshots --- */
TABLE(snap_list) = { STORE, NS, TYPE(OPT), ID(OPT), END };
TABLE(snapshot) = { SNAPSHOT, END };
TABLE(notes) = { SNAPSHOT, TEXT("notes", 0, 0, 0), END };
TABLE(protected) = {
	SNAPSHOT, { "protected", PARAM_BOOLEAN, 0, 0, 0, NULL }, END,
};
TABLE(download) = {
	SNAPSHOT,
	{ "file-name", PARAM_STRING, 0, 1, ARCHIVE_NAME_MAX, param_check_safe_id },
	END,
};
/* Base64, or a name of the root. */
TABLE(catalog) = { SNAPSHOT, TEXT("filepath", 0, 1, 0), END };
TABLE(pxar_file) = {
	SNAPSHOT,
	TEXT("filepath", 0, 1, 0),
	{ "archive-name", PARAM_STRING, OPT, 1, ARCHIVE_NAME_MAX,
	    param_check_safe_id },
	FLAG("tar"),
	END,
};
TABLE(prune) = { GROUP, FLAG("dry-run"), KEEP, FLAG("use-task"), END };

/* --- tasks --- */
TABLE(tasks) = {
	NODE,
	NUMBER("start", 0, 0),
	NUMBER("limit", 0, 0),
	FLAG("running"),
	FLAG("errors"),
	{ "store", PARAM_STRING, OPT, 3, 32, param_check_store },
	TEXT("userfilter", OPT, 0, 256),
	NUMBER("since", INT64_MIN, 0),
	NUMBER("until", INT64_MIN, 0),
	TEXT("typefilter", OPT, 0, 64),
	{ "statusfilter", PARAM_STRINGS, OPT, 0, 0, param_check_task_status },
	END,
};
TABLE(task) = { NODE, UPID, END };
TABLE(task_log) = {
	NODE, UPID,
	NUMBER("start", 0, 0),
	NUMBER("limit", 0, 0),
	FLAG("test-status"),
	FLAG("download"),
	END,
};

/* --- upgrades --- */
TABLE(backup) = {
	SNAPSHOT, FLAG("debug"), FLAG("benchmark"), FLAG("no-cache"), END,
};
TABLE(reader) = { SNAPSHOT, FLAG("debug"), END };
/* clang-format on */
