/*
 * Codecs of every message, made from ipc_msgs.def and ipc_fields.h.  Linked
 * into every process; the bytes it reads come from peers that may be
 * captured, so a getter trusts no length.
 */
#include "config.h"

#include "common/ipc.h"
#include "common/msg.h"

/* Numbers are used once (a switch over them would not compile otherwise, see
 * msg_name()), and every message fits one packet. */
#define IPC_MSG(channel, dir, NAME, handler, id, states, fds) \
	_Static_assert(MSG_MAX_##NAME <= IPC_BODY_MAX, #NAME " is too long");
#include "common/ipc_msgs.def"
#undef IPC_MSG

#define IPC_MSG(channel, dir, NAME, handler, id, states, fds)             \
	int msg_put_##NAME(struct wire_w *w, const struct msg_##NAME *m)  \
	    MSG_PUT_BODY(MSG_##NAME) int msg_get_##NAME(struct wire_r *r, \
		struct msg_##NAME *m) MSG_GET_BODY(MSG_##NAME)
#include "common/ipc_msgs.def"
#undef IPC_MSG

const char *
msg_name(unsigned int id)
{
	switch (id) {
#define IPC_MSG(channel, dir, NAME, handler, number, states, fds) \
	case (number):                                            \
		return #NAME;
#include "common/ipc_msgs.def"
#undef IPC_MSG
	default:
		return "?";
	}
}
