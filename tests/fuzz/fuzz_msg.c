/* Messages between processes, of every channel and direction: no body makes a
 * codec read or write beyond its bounds, and what was read is written back as
 * the same bytes. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <stdio.h>

#include "common/err.h"
#include "common/msg.h"
#include "common/wire.h"

#define BACK_MAX (1u << 20)

/* One function a message: the first two bytes of the input choose. */
#define FUZZ_MSG(NAME)                                                    \
	static void fuzz_##NAME(const uint8_t *data, size_t len)          \
	{                                                                 \
		static uint8_t back[BACK_MAX];                            \
		struct msg_##NAME m;                                      \
		struct wire_r r;                                          \
		struct wire_w w;                                          \
                                                                          \
		wire_r_init(&r, data, len);                               \
		if (msg_get_##NAME(&r, &m) == -1 || wire_r_end(&r) == -1) \
			return;                                           \
		wire_w_init(&w, back, sizeof(back));                      \
		FUZZ_REQUIRE(msg_put_##NAME(&w, &m) == 0);                \
		FUZZ_REQUIRE((size_t)wire_w_len(&w) == len);              \
		FUZZ_REQUIRE(len == 0 || memcmp(back, data, len) == 0);   \
	}

#define IPC_MSG(channel, dir, NAME, handler, id, states, fds) FUZZ_MSG(NAME)
#include "common/ipc_msgs.def"
#undef IPC_MSG

static const struct {
	uint16_t id;
	void (*fuzz)(const uint8_t *data, size_t len);
} messages[] = {
#define IPC_MSG(channel, dir, NAME, handler, id, states, fds) \
	{(id), fuzz_##NAME},
#include "common/ipc_msgs.def"
#undef IPC_MSG
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t i;

	if (len < 2)
		return 0;
	for (i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].id == (data[0] | data[1] << 8))
			messages[i].fuzz(data + 2, len - 2);
	return 0;
}
