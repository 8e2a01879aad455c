/*
 * Codecs of records, made from records.h.  The validator writes them, a
 * worker reads them; the reader trusts no length all the same.
 */
#include "config.h"

#include "common/records.h"

#define RECORD_KIND(NAME)                                                     \
	static int body_put_##NAME(struct wire_w *w,                          \
	    const struct rec_##NAME *m)                                       \
	    MSG_PUT_BODY(                                                     \
		REC_##NAME) static int body_get_##NAME(struct wire_r *r,      \
		struct rec_##NAME *m)                                         \
		MSG_GET_BODY(REC_##NAME) int rec_put_##NAME(struct wire_w *w, \
		    const struct rec_##NAME *m)                               \
	{                                                                     \
		uint8_t *head = record_head(w, RECORD_##NAME);                \
                                                                              \
		return body_put_##NAME(w, m) == -1 ? -1                       \
						   : record_close(w, head);   \
	}                                                                     \
	int rec_get_##NAME(struct wire_r *r, struct rec_##NAME *m)            \
	{                                                                     \
		return body_get_##NAME(r, m) == -1 ? -1 : wire_r_end(r);      \
	}

/* Kind, and room for the length that record_close() fills in. */
static uint8_t *
record_head(struct wire_w *w, enum record_kind kind)
{
	wire_w_u8(w, (uint8_t)kind);
	return wire_w_room(w, RECORD_HEAD_LEN - 1);
}

static int
record_close(struct wire_w *w, uint8_t *head)
{
	struct wire_w len;

	if (head == NULL)
		return -1;
	wire_w_init(&len, head, RECORD_HEAD_LEN - 1);
	wire_w_u32(&len, (uint32_t)(w->p - head - (RECORD_HEAD_LEN - 1)));
	return 0;
}

#include "common/record_kinds.def"
#undef RECORD_KIND

int
record_next(struct wire_r *all, enum record_kind *kind_out,
    struct wire_r *body_out)
{
	const uint8_t *body;
	size_t len;

	if (wire_r_left(all) == 0 && !all->error)
		return 0;
	*kind_out = (enum record_kind)wire_r_u8(all);
	body = wire_r_blob32(all, &len);
	if (body == NULL || *kind_out < RECORD_STORE ||
	    *kind_out >= RECORD_KIND_END)
		return -1;
	wire_r_init(body_out, body, len);
	return 1;
}
