/*
 * Rows of one channel for a struct ipc_row array, with this side's handlers;
 * no include guard, since each side includes it inside its array:
 *
 *   #define VAL_TO_VAL(handler) val_on_##handler
 *   #define VAL_TO_WRK(handler) NULL
 *   #define IPC_ROW_WV(dir, NAME, handler, states, fds) \
 *           IPC_ROW(dir, NAME, VAL_##dir(handler), states, fds)
 *   static const struct ipc_row worker_rows[] = {
 *   #include "common/msg_rows.h"
 *   };
 *
 * A row without its handler fails to link.
 */
#ifndef IPC_ROW_WV
#define IPC_ROW_WV(...)
#endif
#ifndef IPC_ROW_WA
#define IPC_ROW_WA(...)
#endif
#ifndef IPC_ROW_VC
#define IPC_ROW_VC(...)
#endif
#ifndef IPC_ROW_MW
#define IPC_ROW_MW(...)
#endif
#ifndef IPC_ROW_CTL
#define IPC_ROW_CTL(...)
#endif
#ifndef IPC_ROW_VJ
#define IPC_ROW_VJ(...)
#endif
#ifndef IPC_ROW_AH
#define IPC_ROW_AH(...)
#endif
#define IPC_ROW(dir, NAME, function, in_states, nfds) \
	{                                             \
	    .id = MSG_ID_##NAME,                      \
	    .name = #NAME,                            \
	    .min = MSG_MIN_##NAME,                    \
	    .max = MSG_MAX_##NAME,                    \
	    .to = IPC_D_##dir,                        \
	    .states = (in_states),                    \
	    .fds_min = (nfds),                        \
	    .fds_max = (nfds),                        \
	    .handler = (function),                    \
	},
#define IPC_MSG(channel, dir, NAME, handler, id, states, fds) \
	IPC_ROW_##channel(dir, NAME, handler, states, fds)
#include "common/ipc_msgs.def"
#undef IPC_MSG
#undef IPC_ROW
#undef IPC_ROW_WV
#undef IPC_ROW_WA
#undef IPC_ROW_VC
#undef IPC_ROW_MW
#undef IPC_ROW_CTL
#undef IPC_ROW_VJ
#undef IPC_ROW_AH
