#ifndef VALIDATOR_STORE_RECORD_FILE_H
#define VALIDATOR_STORE_RECORD_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/records.h"

struct err;

/*
 * A sealed memory file of records (common/records.h) for CALL_RECORDS, written
 * one after the other with a sticky error.
 */
#define RECORD_FILE_MAX (UINT64_C(1) << 30)

struct record_file;

struct record_file *record_file_new(void);
void record_file_free(struct record_file **f);

/* record_file_put_GROUP(f, &rec) and so on. */
#define RECORD_KIND(NAME)                                  \
	void record_file_put_##NAME(struct record_file *f, \
	    const struct rec_##NAME *rec);
#include "common/record_kinds.def"
#undef RECORD_KIND

/* Seals it and gives descriptor and size; -1 with the first error of all
 * before (ERR_LIMIT, ERR_NOMEM).  The descriptor is the caller's. */
int record_file_finish(struct record_file *f, int *fd_out, uint64_t *size_out,
    struct err *e);

#endif
