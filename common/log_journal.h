#ifndef COMMON_LOG_JOURNAL_H
#define COMMON_LOG_JOURNAL_H

#include <stdarg.h>
#include <stddef.h>

/*
 * For log.c: lines to systemd's journal in its own protocol, with fields that
 * an operator can search for ("journalctl HOLDFAST_STORE=store1").
 */

#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"

/* A field of every line from now on; "" removes it.  name is a literal, value
 * escaped text.  At most LOG_JOURNAL_FIELDS of them. */
#define LOG_JOURNAL_FIELDS 6
#define LOG_JOURNAL_VALUE 256
void log_journal_field(const char *name, const char *value);

/*
 * One line to a socket of log_socket.h.  text ends in what fmt and ap made,
 * from "start" on; each " key=%..." of fmt that is known becomes a field.  The
 * places are those of the format, so text from outside cannot make a field.  -1
 * if the journal does not take it; never blocks.
 */
int log_journal_send(int fd, const char *program, int priority,
    const char *text, size_t start, const char *fmt, va_list ap);

#endif
