#ifndef COMMON_AUDIT_INT_H
#define COMMON_AUDIT_INT_H

/* Between audit.c and audit_check.c: one line of an audit log. */

#include <stddef.h>
#include <stdint.h>

#include "common/audit.h"

struct dirent;
struct json;

#define AUDIT_LINE_MAX 16384
/* What stands behind the hashed text: ,"hash":"...64..."} */
#define AUDIT_TAIL_BEGIN ",\"hash\":\""
#define AUDIT_TAIL_END "\"}"
#define AUDIT_TAIL_LEN                                       \
	(sizeof(AUDIT_TAIL_BEGIN) - 1 + AUDIT_HASH_HEX_LEN + \
	    sizeof(AUDIT_TAIL_END) - 1)
/* audit.log.NUMBER, with as many digits. */
#define AUDIT_NUMBER_LEN 20

struct audit_chain {
	uint64_t n; /* of the last line */
	uint8_t hash[AUDIT_HASH_LEN];
};

/* The hash of the line behind prev; 0 or -1. */
int audit_chain_next(uint8_t out[AUDIT_HASH_LEN],
    const uint8_t prev[AUDIT_HASH_LEN], const char *text, size_t len);
/* Takes a line (without its newline) apart: the length of what is hashed, its
 * hash and its number, its members (the caller's).  -1 if it is none of
 * ours. */
int audit_line_parse(const char *line, size_t len, size_t *text_len_out,
    struct audit_chain *out, struct json **obj_out);
/* Names of the full files and of damaged ones, the oldest first, each and the
 * array the caller's.  Their number, or -1 with errno. */
int audit_full_files(int dir_fd, struct dirent ***out);

#endif
