#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <time.h>

struct err;

/*
 * One line per event: "subsystem: prefix: message", lower case, no final dot,
 * then key=value.  Text from outside passes str_vis() first; as a last
 * defence a control character in a line is printed as "?".  Never a token,
 * password, key or ticket.  One write() a line, so lines of several processes
 * do not mix.  Thread-safe except for the setters.
 */

#define LOG_F_INHERIT 0x1 /* as the parent said (PROC_ENV_LOG) */
#define LOG_F_STDERR 0x2  /* to stderr with time; operators and tests */
#define LOG_F_DEBUG 0x4

/*
 * Call first.  Without LOG_F_STDERR: the journal if stderr is its (with fields,
 * or by stderr with "<n>" priorities), else syslog (or stderr).  The choice
 * goes into the environment for children.  program must stay valid.
 */
void log_init(const char *program, unsigned int flags);
void log_set_debug(int on);
int log_debug_on(void);
/* For a process that serves one peer: put before every message, already
 * escaped text; NULL removes it. */
void log_set_prefix(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * The journal gets fields from " key=%..." in messages (log_journal.c) and
 * these, of every line from now on: name is a literal ("HOLDFAST_STORE"), value
 * escaped text, "" removes it.
 */
void log_set_field(const char *name, const char *value);
/*
 * The time of a line.  The C library reads the time zone at the first use, with
 * memory it asks for under a lock: log_init() has it done, so that no process
 * that runs out of memory there waits for that lock, in order to say so, for
 * ever.  What is said meanwhile has no time: the epoch.
 */
void log_local_time(time_t t, struct tm *out);
/* The descriptor that lines go to and that must stay open, or -1. */
int log_keeps_fd(void);

#define LOG_PRINTF(n) __attribute__((format(printf, n, n + 1)))

/* Plain, with a struct err appended (_e), with errno appended (_sys). */
void log_err(const char *sub, const char *fmt, ...) LOG_PRINTF(2);
void log_err_e(const char *sub, const struct err *e, const char *fmt, ...)
    LOG_PRINTF(3);
void log_err_sys(const char *sub, const char *fmt, ...) LOG_PRINTF(2);
void log_warn(const char *sub, const char *fmt, ...) LOG_PRINTF(2);
void log_warn_e(const char *sub, const struct err *e, const char *fmt, ...)
    LOG_PRINTF(3);
void log_warn_sys(const char *sub, const char *fmt, ...) LOG_PRINTF(2);
void log_info(const char *sub, const char *fmt, ...) LOG_PRINTF(2);
void log_debug(const char *sub, const char *fmt, ...) LOG_PRINTF(2);
void log_debug_e(const char *sub, const struct err *e, const char *fmt, ...)
    LOG_PRINTF(3);

/* Only at start-up or on a broken invariant of our own: logs, then ends the
 * process with PROC_EXIT_FATAL, without atexit() handlers. */
_Noreturn void fatal(const char *sub, const char *fmt, ...) LOG_PRINTF(2);
_Noreturn void fatal_e(const char *sub, const struct err *e, const char *fmt,
    ...) LOG_PRINTF(3);
_Noreturn void fatal_sys(const char *sub, const char *fmt, ...) LOG_PRINTF(2);

#endif
