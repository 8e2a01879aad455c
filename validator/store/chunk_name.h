#ifndef VALIDATOR_STORE_CHUNK_NAME_H
#define VALIDATOR_STORE_CHUNK_NAME_H

#include "common/format/digest.h"

/*
 * File names in the folders of .chunks (datastore-format 1.4, 1.8).  Nothing
 * here blocks.
 */
enum chunk_name {
	CHUNK_NAME_OTHER,
	CHUNK_NAME_CHUNK, /* 64 hex digits */
	CHUNK_NAME_BAD,   /* and ".N.bad" */
	CHUNK_NAME_TEMP,  /* and ".tmp_XXXXXX" */
};
#define CHUNK_NAME_LEN_MAX (DIGEST_HEX_LEN + 11)

/* digest_out only if it is not OTHER. */
enum chunk_name chunk_name_parse(const char *name, struct digest *digest_out);

#endif
