/*
 * Packets between processes, as received: header, direction, length, state,
 * descriptors, then the body.  The first byte of the input chooses who
 * receives, the second in which state and with how many descriptors.
 */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/ipc_int.h"
#include "common/msg.h"

#define ROW(dir, NAME, handler, states, fds) \
	IPC_ROW(dir, NAME, NULL, states, fds)
#define IPC_ROW_WV ROW
#define IPC_ROW_WA ROW
#define IPC_ROW_VC ROW
#define IPC_ROW_MW ROW
#define IPC_ROW_CTL ROW
#define IPC_ROW_VJ ROW
#define IPC_ROW_AH ROW
static const struct ipc_row rows[] = {
#include "common/msg_rows.h"
};
static const struct ipc_proto proto = {
    .name = "anybody",
    .rows = rows,
    .nrows = sizeof(rows) / sizeof(rows[0]),
    .version = IPC_VERSION,
    .version_min = IPC_VERSION_MIN,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct err e = {.code = ERR_OK};
	const struct ipc_row *row = NULL;
	uint32_t role, state;
	struct ipc_msg m;
	uint16_t type;
	int nfds;

	if (len < 2)
		return 0;
	role = 1u << data[0] % 9;
	state = 1u << data[1] % 3;
	nfds = data[1] / 3 % (IPC_FDS_MAX + 1);
	data += 2;
	len -= 2;
	if (ipc_packet_check(&proto, (uint16_t)role, state, data, len, nfds, &m,
		&row, &e) == -1) {
		FUZZ_REQUIRE(e.code == ERR_PROTO && e.msg[0] != '\0');
		return 0;
	}
	memcpy(&type, data + 6, sizeof(type));
	FUZZ_REQUIRE(row != NULL && row->id == m.type && m.type == type);
	FUZZ_REQUIRE((row->to & role) != 0 && (row->states & state) != 0);
	FUZZ_REQUIRE(len - IPC_HDR_LEN >= row->min);
	FUZZ_REQUIRE(len - IPC_HDR_LEN <= row->max);
	return 0;
}
