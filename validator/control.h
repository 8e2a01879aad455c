#ifndef VALIDATOR_CONTROL_H
#define VALIDATOR_CONTROL_H

/*
 * The operator's commands on RUN/admin/validator.sock (channel CTL): root, the
 * validator's own uid and the admin group, as the socket's mode says.  A
 * request names a command and "key=value" arguments; the reply is one JSON
 * object in a sealed memory file, or CTL_FAIL.  Times are Unix seconds; ids of
 * sessions are 16 hex digits.
 *
 * command          arguments            reply
 * status                                {"version", "pid", "started",
 *                                       "stores": n, "sessions": n,
 *                                       "workers": n, "checkers": {"spare": n,
 *                                       "busy": n}}
 * datastore-list                        {"datastores": [{"name", "path",
 *                                       "comment", "state": "open" |
 *                                       "refused" | "poisoned" | "closed",
 *                                       "reason"?, "maintenance"?,
 *                                       "sessions": n, "total"?, "used"?,
 *                                       "avail"?, "estimated-full-date"?}]}
 * datastore-clear  name                 {}
 * datastore-close  name                 {"path"}
 * session-list     [store]              {"sessions": [{"id", "kind": "backup"
 *                                       | "reader", "state", "store", "ns",
 *                                       "snapshot", "user", "peer", "started",
 *                                       "upid", "check": {"state", "checked",
 *                                       "left", "missing"}?, "deposits"?,
 *                                       "bytes"?}]}
 * session-stop     id                   {}
 * lock-list        [store]              {"locks": [{"key", "mode": "shared" |
 *                                       "exclusive", "session", "what",
 *                                       "since"}]}
 * task-list        [store] [user]       {"tasks": [{"upid", "endtime"?,
 *                  [running=1] [limit]  "status"?}], "total"}
 * task-log         upid [start] [limit] {"lines": [{"n", "t"}], "total",
 *                                       "active"}
 * task-stop        upid                 {}
 * gc-start         store [dry-run=1]    {"upid"}
 * gc-status        store                {"store", "running": bool, "upid"?,
 *                                       "started"?, "step"?, "done"?,
 *                                       "total"?, "seconds-left"?, "last"?:
 *                                       text of .gc-status}
 * reload                                {}
 */

struct control;
struct err;
struct validator;

/* Takes the listening socket fd, also on failure. */
struct control *control_new(struct validator *v, int fd, struct err *e);
void control_free(struct control **c);

#endif
