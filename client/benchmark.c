/*
 * holdfast benchmark: how fast bytes get to the server, and how fast this
 * machine hashes and compresses.  Nothing is stored.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/h2.h"
#include "client/remote.h"
#include "client/session.h"
#include "common/err.h"
#include "common/format/blob.h"
#include "common/format/digest.h"
#include "common/format/snapshot.h"
#include "common/io.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/table.h"

#define PIECE_LEN ((size_t)4 << 20)
#define PARALLEL 4
#define UPLOAD_MS 5000 /* unless --seconds says otherwise */
#define LOCAL_MS 1000

static const struct table_col cols[] = {
    {"upload", "upload, bytes/s", TABLE_SIZE},
    {"sha256", "SHA-256, bytes/s", TABLE_SIZE},
    {"compress", "compression, bytes/s", TABLE_SIZE},
    {"decompress", "decompression, bytes/s", TABLE_SIZE},
    {NULL, NULL, TABLE_STR},
};

struct bench {
	struct h2 *h;
	uint8_t *piece;
	uint64_t sent; /* pieces that were answered */
	uint64_t end_ms;
};

static uint64_t
rate(uint64_t bytes, uint64_t ms)
{
	return bytes * 1000 / (ms > 0 ? ms : 1);
}

/* Half random, half text: what compression does with it is typical. */
static void
fill_piece(uint8_t *piece)
{
	static const char text[] =
	    "all work and no play makes jack a dull boy\n";
	size_t i;

	io_random(piece, PIECE_LEN / 2);
	for (i = PIECE_LEN / 2; i < PIECE_LEN; i++)
		piece[i] = (uint8_t)text[i % (sizeof(text) - 1)];
}

/* ---- the server */

static int piece_sent(void *ctx, struct h2_reply *reply, struct err *e);

static int
send_piece(struct bench *b, struct err *e)
{
	struct h2_request q = {
	    .method = "POST",
	    .target = "/speedtest",
	    .content_type = "application/octet-stream",
	    .body = b->piece,
	    .body_len = PIECE_LEN,
	    .reply_max = H2_REPLY_MAX,
	    .done = piece_sent,
	    .ctx = b,
	};

	return h2_submit(b->h, &q, e);
}

static int
piece_sent(void *ctx, struct h2_reply *reply, struct err *e)
{
	struct bench *b = ctx;

	if (reply == NULL || reply->status != 200)
		return err_set(e, ERR_ABORTED,
		    "the server refuses the speed test");
	b->sent++;
	return io_monotonic_ms() < b->end_ms ? send_piece(b, e) : 0;
}

static int
measure_upload(const struct client_opts *o, struct bench *b,
    struct json *result, struct err *e)
{
	struct remote *r = remote_open(o, e);
	uint64_t start, ms = o->seconds.given ? o->seconds.v * 1000 : UPLOAD_MS;
	int i, rv = 0;

	if (r == NULL)
		return -1;
	b->h = session_benchmark(r, o->ns, io_realtime_s(), e);
	if (b->h == NULL) {
		remote_close(r);
		return -1;
	}
	start = io_monotonic_ms();
	b->end_ms = start + ms;
	for (i = 0; i < PARALLEL && rv == 0; i++)
		rv = send_piece(b, e);
	while (rv == 0 && h2_pending(b->h) > 0)
		rv = h2_turn(b->h, -1, -1, e);
	if (rv == 0)
		json_set_u64(result, "upload",
		    rate(b->sent * PIECE_LEN, io_monotonic_ms() - start));
	h2_free(b->h);
	remote_close(r);
	return rv;
}

/* ---- this machine */

static void
measure_hash(const struct bench *b, struct json *result)
{
	struct digest_ctx *ctx = digest_ctx_new();
	uint64_t start = io_monotonic_ms(), now = start, n;
	struct digest d;

	for (n = 0; n == 0 || now - start < LOCAL_MS; n++) {
		digest_of(ctx, b->piece, PIECE_LEN, &d);
		now = io_monotonic_ms();
	}
	json_set_u64(result, "sha256", rate(n * PIECE_LEN, now - start));
	digest_ctx_free(ctx);
}

static int
measure_zstd(const struct bench *b, struct json *result, struct err *e)
{
	struct blob_codec *codec = blob_codec_new();
	uint8_t *packed = xmalloc(PIECE_LEN), *back = xmalloc(PIECE_LEN);
	uint64_t start = io_monotonic_ms(), now = start, n;
	size_t len = 0, back_len;
	int rv = 0;

	for (n = 0; rv == 0 && (n == 0 || now - start < LOCAL_MS); n++) {
		rv = blob_compress(codec, b->piece, PIECE_LEN, packed,
		    PIECE_LEN, &len, e);
		now = io_monotonic_ms();
	}
	json_set_u64(result, "compress", rate(n * PIECE_LEN, now - start));
	start = now;
	for (n = 0; rv == 0 && (n == 0 || now - start < LOCAL_MS); n++) {
		rv = blob_decompress(codec, packed, len, back, PIECE_LEN,
		    &back_len, e);
		now = io_monotonic_ms();
	}
	json_set_u64(result, "decompress", rate(n * PIECE_LEN, now - start));
	free(packed);
	free(back);
	blob_codec_free(codec);
	return rv;
}

int
client_benchmark(void *values, int nargs, char **args, struct err *e)
{
	const struct client_opts *o = values;
	struct bench b = {.piece = xmalloc(PIECE_LEN)};
	struct json *result = json_new_object();
	int rv = 0;

	(void)nargs;
	(void)args;
	fill_piece(b.piece);
	if (o->repository != NULL)
		rv = measure_upload(o, &b, result, e);
	if (rv == 0) {
		measure_hash(&b, result);
		rv = measure_zstd(&b, result, e);
	}
	if (rv == 0)
		table_print_object(stdout, (enum output_format)o->output_format,
		    cols, result);
	json_free(&result);
	free(b.piece);
	return rv;
}
