/*
 * Parameter tables of the sessions' calls.
 */
#include "config.h"

#include "server/session_params.h"

#include "common/format/blob.h"
#include "common/format/digest.h"
#include "common/format/names.h"
#include "common/msg.h"

#define DIGEST(name, flags)                                                \
	{                                                                  \
		name, PARAM_STRING, flags, DIGEST_HEX_LEN, DIGEST_HEX_LEN, \
		    param_check_digest                                     \
	}
#define WID                                                       \
	{                                                         \
		"wid", PARAM_INTEGER, 0, 1, IPC_WRITERS_MAX, NULL \
	}
#define NAME(name)                                          \
	{                                                   \
		name, PARAM_STRING, 0, 1, ARCHIVE_NAME_MAX, \
		    param_check_safe_id                     \
	}

const struct param_def session_params_archive[] = {
    NAME("archive-name"),
    {NULL},
};

const struct param_def session_params_download[] = {
    NAME("file-name"),
    {NULL},
};

const struct param_def session_params_blob[] = {
    NAME("file-name"),
    {"encoded-size", PARAM_INTEGER, 0, BLOB_HEADER_LEN, BLOB_ENCODED_MAX, NULL},
    {NULL},
};

const struct param_def session_params_fixed[] = {
    NAME("archive-name"),
    {"size", PARAM_INTEGER, 0, 1, INT64_MAX, NULL},
    DIGEST("reuse-csum", PARAM_OPTIONAL),
    {NULL},
};

const struct param_def session_params_append[] = {
    WID,
    {"digest-list", PARAM_STRINGS, 0, DIGEST_HEX_LEN, DIGEST_HEX_LEN,
	param_check_digest},
    {"offset-list", PARAM_INTEGERS, 0, 0, INT64_MAX, NULL},
    {NULL},
};

const struct param_def session_params_chunk[] = {
    WID,
    DIGEST("digest", 0),
    {"size", PARAM_INTEGER, 0, 1, CHUNK_RAW_MAX, NULL},
    {"encoded-size", PARAM_INTEGER, 0, CHUNK_ENCODED_MIN, BLOB_ENCODED_MAX,
	NULL},
    {NULL},
};

const struct param_def session_params_dclose[] = {
    WID,
    {"chunk-count", PARAM_INTEGER, 0, 1, INT64_MAX, NULL},
    {"size", PARAM_INTEGER, 0, 1, INT64_MAX, NULL},
    DIGEST("csum", 0),
    {NULL},
};

const struct param_def session_params_fclose[] = {
    WID,
    {"chunk-count", PARAM_INTEGER, 0, 0, INT64_MAX, NULL},
    {"size", PARAM_INTEGER, 0, 0, INT64_MAX, NULL},
    DIGEST("csum", 0),
    {NULL},
};

const struct param_def session_params_digest[] = {
    DIGEST("digest", 0),
    {NULL},
};
