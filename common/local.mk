# common/: what every program needs; common/format/: Proxmox Backup's bytes.
noinst_LIBRARIES += libcommon.a libformat.a
libcommon_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(CRYPTO_CFLAGS) \
	$(JSON_CFLAGS) $(LMDB_CFLAGS) $(SECCOMP_CFLAGS) $(CONFUSE_CFLAGS) \
	$(SYSTEMD_CFLAGS)
libcommon_a_SOURCES = \
	common/err.c common/err.h common/err_codes.def \
	common/fields.h common/ipc_fields.h common/ipc_msgs.def \
	common/call_ops.def \
	common/arena.c common/arena.h common/atime.c common/atime.h \
	common/audit.c common/audit.h common/audit_check.c common/audit_int.h \
	common/calendar.c common/calendar.h \
	common/conf.c common/conf.h common/conf_doc.c common/conf_value.c \
	common/roff.c common/roff.h \
	common/digest_map.c common/digest_map.h \
	common/io.c common/io.h \
	common/ipc.c common/ipc.h common/ipc_blocking.c common/ipc_int.h \
	common/ipc_packet.c common/ipc_socket.c \
	common/json.c common/json.h common/json_int.h common/json_scan.c \
	common/json_text.c \
	common/lmdb.c common/lmdb.h \
	common/log.c common/log.h \
	common/log_journal.c common/log_journal.h \
	common/log_socket.c common/log_socket.h \
	common/malloc.c common/mem.c common/mem.h \
	common/msg.c common/msg.h common/msg_rows.h \
	common/path.c common/path.h \
	common/peer_process.c common/peer_process.h \
	common/proc.c common/proc.h common/proc_event.c common/proc_spawn.c \
	common/sandbox.c common/sandbox.h common/sandbox_int.h \
	common/sandbox_landlock.c common/sandbox_profiles.c \
	common/records.c common/records.h common/records_gen.h \
	common/record_kinds.def \
	common/sbuf.c common/sbuf.h \
	common/str.c common/str.h \
	common/token_bucket.c common/token_bucket.h \
	common/wire.h

libcommon_a_SOURCES += \
	common/grant.c common/grant.h common/grant_key.c common/grant_seen.c \
	common/privs.c common/privs.h common/privs.def

libcommon_a_SOURCES += \
	common/cli.c common/cli.h common/cli_doc.c common/cli_help.c \
	common/prompt.c common/prompt.h common/table.c common/table.h

# Link lines, so that each program names only what it may use.
COMMON_LIBS = libcommon.a $(EVENT_LIBS) $(SECCOMP_LIBS) $(CONFUSE_LIBS) \
	$(SYSTEMD_LIBS) $(JSON_LIBS) $(CRYPTO_LIBS)
FORMAT_LIBS = libformat.a $(ZSTD_LIBS) $(ISAL_LIBS)

include common/format/local.mk
