/*
 * The second half of records.h: a struct and its codec for each kind.
 *   int rec_put_GROUP(struct wire_w *, const struct rec_GROUP *): with kind
 *       and length in front; -1 if the buffer is too small or a field too long
 *   int rec_get_GROUP(struct wire_r *, struct rec_GROUP *): from the reader
 *       that record_next() gave; -1 unless it is exactly that
 */
#ifndef COMMON_RECORDS_H
#error "include common/records.h instead"
#endif

#define RECORD_HEAD_LEN 5

#define RECORD_KIND(NAME)                                                 \
	enum {                                                            \
		REC_MAX_##NAME = RECORD_HEAD_LEN REC_##NAME(MSG_MAXLEN),  \
	};                                                                \
	struct rec_##NAME {                                               \
		REC_##NAME(MSG_DECL)                                      \
	};                                                                \
	int rec_put_##NAME(struct wire_w *w, const struct rec_##NAME *m); \
	int rec_get_##NAME(struct wire_r *r, struct rec_##NAME *m);
#include "common/record_kinds.def"
#undef RECORD_KIND
