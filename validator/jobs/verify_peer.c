/*
 * A job's side of a lent checker (verify_peer.h).  Runs in holdfast-job.  A
 * checker works on hostile bytes and may have been taken over by them: what it
 * says is bounds-checked, and counts for what it was asked only.
 */
#include "config.h"

#include "validator/jobs/verify_peer.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/io.h"
#include "common/format/blob.h"
#include "common/format/manifest.h"
#include "common/mem.h"
#include "validator/jobs/job.h"

#define ANSWER_MS 60000

#define PEER_TO_CHK(handler) NULL
#define PEER_TO_VAL(handler) NULL
#define IPC_ROW_VC(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, PEER_##dir(handler), states, fds)
static const struct ipc_row rows[] = {
#include "common/msg_rows.h"
};
static const struct ipc_proto proto = {
    .name = "checker",
    .rows = rows,
    .nrows = sizeof(rows) / sizeof(rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION,
};

/* Asks for a checker; its socket and arenas are the caller's. */
static int
borrow(struct job *j, unsigned int slot, int fds_out[3], struct err *e)
{
	struct msg_JOB_CHECKER msg = {.slot = (uint8_t)slot};
	uint8_t buf[MSG_MAX_JOB_CHECKER];
	struct msg_JOB_REPLY reply;
	struct wire_w w;
	struct ipc_msg m;

	wire_w_init(&w, buf, sizeof(buf));
	msg_put_JOB_CHECKER(&w, &msg);
	if (job_send(j, MSG_ID_JOB_CHECKER, buf, wire_w_len(&w), NULL, e) ==
		-1 ||
	    job_recv(j, &m, e) == -1)
		return -1;
	if (m.type == MSG_ID_JOB_CHECKER_READY) {
		memcpy(fds_out, m.fds, 3 * sizeof(fds_out[0]));
		return 0;
	}
	if (m.type == MSG_ID_JOB_REPLY &&
	    msg_get_JOB_REPLY(&m.body, &reply) == 0 &&
	    job_reply_check(&reply, e) == -1)
		return -1;
	return err_set(e, ERR_PROTO, "wrong answer of the validator");
}

static void
drop(struct arena *a)
{
	if (a->base != NULL)
		arena_fini(a);
	*a = (struct arena){.fd = -1};
}

static size_t
half_len(const struct verify_peer *p)
{
	return (size_t)(p->chunks.nblocks / 2) * ARENA_BLOCK;
}

/* Nothing is in it. */
static void
start_half(struct verify_peer *p, uint32_t half)
{
	p->half = half;
	p->filled = 0;
	wire_w_init(&p->added, p->list, sizeof(p->list));
}

int
verify_peer_open(struct verify_peer *p, struct job *j, unsigned int slot,
    struct err *e)
{
	struct ipc_cfg cfg = {
	    .proto = &proto,
	    .role = IPC_D_TO_VAL,
	    .state = IPC_S_READY,
	    .ctx = p,
	};
	int fds[3];

	verify_peer_close(p);
	if (borrow(j, slot, fds, e) == -1)
		return err_wrap(e, "cannot get a checker");
	p->ipc = ipc_new(fds[0], &cfg, e);
	if (arena_map(&p->results, fds[1], ARENA_BLOCKS_MAX, 0, e) == -1) {
		io_close(&fds[2]);
		verify_peer_close(p);
		return -1;
	}
	if (arena_map(&p->chunks, fds[2], ARENA_BLOCKS_MAX, 1, e) == -1 ||
	    p->ipc == NULL) {
		verify_peer_close(p);
		return -1;
	}
	arena_fd_close(&p->results);
	arena_fd_close(&p->chunks);
	start_half(p, 0);
	return 0;
}

void
verify_peer_close(struct verify_peer *p)
{
	ipc_free(&p->ipc);
	drop(&p->results);
	drop(&p->chunks);
	free(p->files);
	p->files = NULL;
}

/* Whatever goes wrong between the two says nothing of what was asked. */
static int
give_up(struct verify_peer *p, struct err *e)
{
	ipc_free(&p->ipc);
	return err_set(e, ERR_UNAVAILABLE,
	    "checking the data ended unexpectedly");
}

static int
ask(struct verify_peer *p, uint16_t type, const void *body,
    const struct wire_w *w, const int *fds, int nfds, uint16_t want,
    struct ipc_msg *m, struct err *e)
{
	ssize_t len = wire_w_len(w);

	if (p->ipc != NULL && len >= 0 &&
	    ipc_call(p->ipc, type, 0, ++p->seq, body, (size_t)len, fds, nfds,
		ANSWER_MS, m, NULL) == 0 &&
	    m->type == want)
		return 0;
	return give_up(p, e);
}

static bool
verdict_is_possible(uint8_t kind, uint32_t encoded, uint32_t size)
{
	return kind < BLOB_KIND_COUNT && encoded <= BLOB_ENCODED_MAX &&
	    size <= CHUNK_RAW_MAX;
}

static int
verdict(struct verify_peer *p, uint16_t type, const void *body,
    const struct wire_w *w, int fd, struct msg_CHK_VERDICT *out, struct err *e)
{
	struct ipc_msg m;

	if (ask(p, type, body, w, &fd, 1, MSG_ID_CHK_VERDICT, &m, e) == -1)
		return -1;
	if (msg_get_CHK_VERDICT(&m.body, out) == -1 ||
	    !verdict_is_possible(out->kind, out->out_len, out->size)) {
		ipc_free(&p->ipc);
		return err_set(e, ERR_UNAVAILABLE, "checking the data failed");
	}
	if (out->code != ERR_OK)
		return err_set(e, err_code_from_wire(out->code), "%s",
		    out->text);
	return 0;
}

uint8_t *
verify_peer_room(const struct verify_peer *p, size_t *room_out)
{
	*room_out = half_len(p) - p->filled;
	return p->chunks.base + (size_t)p->half * ARENA_BLOCK + p->filled;
}

void
verify_peer_add(struct verify_peer *p, const struct digest *digest,
    uint32_t len)
{
	wire_w_bytes(&p->added, digest->b, DIGEST_LEN);
	wire_w_u32(&p->added, len);
	p->filled += len;
}

int
verify_peer_send(struct verify_peer *p, struct err *e)
{
	struct msg_CHK_STORED_MANY msg = {
	    .block = p->half,
	    .chunks = p->list,
	    .chunks_len = (uint32_t)wire_w_len(&p->added),
	};
	uint8_t buf[MSG_MAX_CHK_STORED_MANY];
	struct wire_w w;

	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_STORED_MANY(&w, &msg);
	start_half(p, p->half == 0 ? p->chunks.nblocks / 2 : 0);
	if (p->ipc != NULL &&
	    ipc_send(p->ipc, MSG_ID_CHK_STORED_MANY, 0, ++p->seq, buf,
		(size_t)wire_w_len(&w), NULL) == 0 &&
	    ipc_flush(p->ipc, ANSWER_MS, NULL) == 0)
		return 0;
	return give_up(p, e);
}

static int
take_verdicts(struct ipc_msg *m, unsigned int n, struct verify_verdict *out)
{
	struct msg_CHK_VERDICTS v;
	uint32_t encoded, size;
	struct wire_r r;
	uint8_t good, kind;
	unsigned int i;

	if (m->type != MSG_ID_CHK_VERDICTS ||
	    msg_get_CHK_VERDICTS(&m->body, &v) == -1 ||
	    v.verdicts_len != n * CHK_VERDICT_LEN)
		return -1;
	wire_r_init(&r, v.verdicts, v.verdicts_len);
	for (i = 0; i < n; i++) {
		good = wire_r_u8(&r);
		kind = wire_r_u8(&r);
		encoded = wire_r_u32(&r);
		size = wire_r_u32(&r);
		if (!verdict_is_possible(kind, encoded, size))
			return -1;
		out[i].good = good == 1;
		out[i].encrypted = blob_kind_encrypted((enum blob_kind)kind);
		out[i].encoded = encoded;
		out[i].size = out[i].encrypted ? 0 : size;
	}
	return 0;
}

int
verify_peer_verdicts(struct verify_peer *p, unsigned int n,
    struct verify_verdict *out, struct err *e)
{
	struct ipc_msg m;

	if (p->ipc == NULL || ipc_recv(p->ipc, ANSWER_MS, &m, NULL) == -1 ||
	    take_verdicts(&m, n, out) == -1) {
		memset(out, 0, n * sizeof(*out));
		return give_up(p, e);
	}
	return 0;
}

int
verify_peer_blob(struct verify_peer *p, int fd, uint64_t size,
    const struct digest *csum, struct msg_CHK_VERDICT *out, struct err *e)
{
	struct msg_CHK_STORED_BLOB msg = {.size = size};
	uint8_t buf[MSG_MAX_CHK_STORED_BLOB];
	struct wire_w w;

	memcpy(msg.csum, csum->b, DIGEST_LEN);
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_STORED_BLOB(&w, &msg);
	return verdict(p, MSG_ID_CHK_STORED_BLOB, buf, &w, fd, out, e);
}

int
verify_peer_manifest(struct verify_peer *p, int fd, enum manifest_op op,
    struct msg_CHK_MANIFESTED *out, const uint8_t **data_out, struct err *e)
{
	struct msg_CHK_FILE msg = {.op = (uint8_t)op, .out_block = 0};
	const uint8_t *data;
	uint8_t buf[256];
	struct wire_w w;
	struct ipc_msg m;

	*data_out = NULL;
	wire_w_init(&w, buf, sizeof(buf));
	msg_put_CHK_FILE(&w, &msg);
	if (ask(p, MSG_ID_CHK_FILE, buf, &w, &fd, 1, MSG_ID_CHK_MANIFESTED, &m,
		e) == -1)
		return -1;
	if (msg_get_CHK_MANIFESTED(&m.body, out) == -1 ||
	    out->verify_state > VERIFY_STATE_FAILED)
		goto broken;
	if (out->code != ERR_OK)
		return err_set(e, err_code_from_wire(out->code), "%s",
		    out->text);
	if (out->out_len == 0)
		return 0;
	if ((data = arena_at(&p->results, 0, out->out_len)) == NULL)
		goto broken;
	/* The checker may still change it. */
	free(p->files);
	*data_out = p->files = xmemdup(data, out->out_len);
	return 0;
broken:
	ipc_free(&p->ipc);
	return err_set(e, ERR_UNAVAILABLE, "checking the manifest failed");
}
