# tests of common
COMMON_TEST_LIBS = $(COMMON_LIBS) $(LMDB_LIBS) $(TEST_LIBS)

check_PROGRAMS += tests/common/test_arena
tests_common_test_arena_SOURCES = tests/common/test_arena.c
tests_common_test_arena_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_arena_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_atime
tests_common_test_atime_SOURCES = tests/common/test_atime.c
tests_common_test_atime_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_atime_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_calendar
tests_common_test_calendar_SOURCES = tests/common/test_calendar.c
tests_common_test_calendar_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_calendar_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_cli
tests_common_test_cli_SOURCES = tests/common/test_cli.c
tests_common_test_cli_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_cli_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_conf
tests_common_test_conf_SOURCES = tests/common/test_conf.c
tests_common_test_conf_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_conf_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_digest_map
tests_common_test_digest_map_SOURCES = tests/common/test_digest_map.c
tests_common_test_digest_map_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_digest_map_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_grant
tests_common_test_grant_SOURCES = tests/common/test_grant.c
tests_common_test_grant_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_grant_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_io
tests_common_test_io_SOURCES = tests/common/test_io.c
tests_common_test_io_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_io_LDADD = $(COMMON_TEST_LIBS)
tests_common_test_io_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=write,--wrap=fsync

check_PROGRAMS += tests/common/test_ipc
tests_common_test_ipc_SOURCES = tests/common/test_ipc.c
tests_common_test_ipc_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_common_test_ipc_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_json
tests_common_test_json_SOURCES = tests/common/test_json.c
tests_common_test_json_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_json_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_lmdb
tests_common_test_lmdb_SOURCES = tests/common/test_lmdb.c
tests_common_test_lmdb_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_lmdb_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_log
tests_common_test_log_SOURCES = tests/common/test_log.c
tests_common_test_log_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_log_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_mem
tests_common_test_mem_SOURCES = tests/common/test_mem.c
tests_common_test_mem_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_mem_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_msg
tests_common_test_msg_SOURCES = tests/common/test_msg.c
tests_common_test_msg_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_msg_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_path
tests_common_test_path_SOURCES = tests/common/test_path.c
tests_common_test_path_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_path_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_peer_process
tests_common_test_peer_process_SOURCES = tests/common/test_peer_process.c
tests_common_test_peer_process_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_common_test_peer_process_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_privs
tests_common_test_privs_SOURCES = tests/common/test_privs.c
tests_common_test_privs_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_privs_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_proc
tests_common_test_proc_SOURCES = tests/common/test_proc.c
tests_common_test_proc_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_common_test_proc_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_prompt
tests_common_test_prompt_SOURCES = tests/common/test_prompt.c
tests_common_test_prompt_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_prompt_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_audit
tests_common_test_audit_SOURCES = tests/common/test_audit.c
tests_common_test_audit_CPPFLAGS = $(TEST_CPPFLAGS) $(EVENT_CFLAGS)
tests_common_test_audit_LDADD = $(COMMON_TEST_LIBS)
check_PROGRAMS += tests/common/test_sandbox
tests_common_test_sandbox_SOURCES = tests/common/test_sandbox.c
tests_common_test_sandbox_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_sandbox_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_sbuf
tests_common_test_sbuf_SOURCES = tests/common/test_sbuf.c
tests_common_test_sbuf_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_sbuf_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_str
tests_common_test_str_SOURCES = tests/common/test_str.c
tests_common_test_str_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_str_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_table
tests_common_test_table_SOURCES = tests/common/test_table.c
tests_common_test_table_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_table_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_token_bucket
tests_common_test_token_bucket_SOURCES = tests/common/test_token_bucket.c
tests_common_test_token_bucket_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_token_bucket_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_wire
tests_common_test_wire_SOURCES = tests/common/test_wire.c
tests_common_test_wire_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_wire_LDADD = $(COMMON_TEST_LIBS)

check_PROGRAMS += tests/common/test_records
tests_common_test_records_SOURCES = tests/common/test_records.c
tests_common_test_records_CPPFLAGS = $(TEST_CPPFLAGS)
tests_common_test_records_LDADD = $(COMMON_TEST_LIBS)
